// Which form of a page a request gets: PEP 691 "Content-Type" negotiation.
import { HTML_PAGE_TYPE } from './page-html.ts';
import { JSON_PAGE_TYPE } from './page-json.ts';

export type PageForm = 'json' | 'html';

/** The media type that the request asked for, so that it knows what it got. */
export interface ChosenForm {
  readonly form: PageForm;
  readonly mediaType: string;
}

const LEGACY_HTML: ChosenForm = { form: 'html', mediaType: 'text/html; charset=utf-8' };

/** What can be had, the preferred one of equals first; `latest` is the newest version of the API. */
const OFFERS: readonly (readonly [accepted: RegExp, chosen: ChosenForm])[] = [
  [/^application\/vnd\.pypi\.simple\.(?:v1|latest)\+json$/, { form: 'json', mediaType: JSON_PAGE_TYPE }],
  [
    /^application\/vnd\.pypi\.simple\.(?:v1|latest)\+html$/,
    { form: 'html', mediaType: `${HTML_PAGE_TYPE}; charset=utf-8` },
  ],
  [/^(?:text\/html|text\/\*|\*\/\*)$/, LEGACY_HTML],
  [/^application\/\*$/, { form: 'json', mediaType: JSON_PAGE_TYPE }],
];

/**
 * The form that an Accept header wants most; without one, the HTML that every installer reads. Undefined when it wants
 * none of them. PEP 691: "a server … MAY … return 406".
 */
export function choosePageForm(accept: string | undefined): ChosenForm | undefined {
  if (accept === undefined || accept.trim() === '') return LEGACY_HTML;
  let best: { chosen: ChosenForm; quality: number; rank: number } | undefined;
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    const quality = weight === undefined ? 1 : Number(weight);
    const rank = OFFERS.findIndex(([accepted]) => accepted.test(type));
    const offer = OFFERS[rank];
    if (offer === undefined || !(quality > 0)) continue;
    if (best === undefined || quality > best.quality || (quality === best.quality && rank < best.rank)) {
      best = { chosen: offer[1], quality, rank };
    }
  }
  return best?.chosen;
}
