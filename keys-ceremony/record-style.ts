// The look of record.html: black on white, the fonts of the computer, pages of A4 or Letter that tear nothing apart.
export const RECORD_STYLE = `
@page { size: auto; margin: 18mm 16mm 20mm; }
:root { --ink: #111; --soft: #555; --line: #bbb; }
* { box-sizing: border-box; }
html { background: #fff; color: var(--ink); font: 10.5pt/1.45 "Source Serif 4", "Noto Serif", "DejaVu Serif", Georgia, serif; }
body { max-width: 178mm; margin: 0 auto; padding: 12mm 0; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 4mm; margin-bottom: 6mm; }
header p { margin: 0; color: var(--soft); letter-spacing: .02em; }
h1 { font-size: 22pt; line-height: 1.15; margin: 1mm 0 2mm; overflow-wrap: anywhere; }
h2 { font-size: 12.5pt; margin: 8mm 0 2mm; break-after: avoid; }
p { margin: 0 0 2mm; }
.hint { color: var(--soft); font-size: 9.5pt; }
code, .phrase { font-family: "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; }
code { font-size: 8.2pt; overflow-wrap: anywhere; }
code span { margin-right: .55em; white-space: nowrap; }
dl { display: grid; grid-template-columns: 34mm 1fr; gap: 1mm 4mm; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 600; font-size: 9.5pt; color: var(--soft); padding: 0 4mm 1mm 0; }
td { border-top: .5px solid var(--line); padding: 1.4mm 4mm 1.4mm 0; vertical-align: top; }
td:last-child, th:last-child { padding-right: 0; }
td.name { overflow-wrap: anywhere; width: 52mm; }
td.short { white-space: nowrap; }
tr, li, .code, .present { break-inside: avoid; }
pre { font: 8.2pt/1.5 "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.phrase { border: 1.5px solid var(--ink); padding: 3mm 4mm; margin: 0 0 3mm; font-size: 12.5pt; display: grid; grid-template-columns: repeat(4, 1fr); gap: 1mm 4mm; break-inside: avoid; }
.phrase span::before { content: attr(data-n) " "; color: var(--soft); font-size: 8pt; }
.codes { display: grid; grid-template-columns: repeat(3, 1fr); gap: 6mm; margin-top: 3mm; }
.code svg { width: 100%; max-width: 46mm; display: block; }
.code { font-size: 9.5pt; }
.present { display: grid; grid-template-columns: 1fr 1fr; gap: 0 8mm; margin-bottom: 5mm; }
.present div { border-bottom: .8px solid var(--ink); height: 11mm; font-size: 8.5pt; color: var(--soft); display: flex; align-items: flex-end; padding-bottom: .5mm; }
@media print { body { padding: 0; max-width: none; } }
`;
