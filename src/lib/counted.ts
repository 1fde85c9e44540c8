/** `1 event`, `2 events`: for people, in messages and reports. `noun`: one whose plural ends in s. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
