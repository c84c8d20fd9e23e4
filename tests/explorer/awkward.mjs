// Values that every layer of encoding would like to break.

export const TEXTS = [
  'plain', '', 'a,b', 'two  spaces ', `both "double" and 'single'`, 'back\\slash \\n \\u0041 \\',
  '%2B + %2b %', 'tilde~star*(bang)!', 'é 中文 😀', '</script><img src=x onerror=alert(1)>',
  '$HOME `id` $(id) ${x} #{x} %s %d {0}', 'line\nbreak\r\nand\ttab', '\u202eright to left\u2066',
  '\u0001\u007f\u0085\u2028', '&=?#;:@/+', "it's '' '\\''", '!history', '-leading', '\ufeffbom',
];

/** URLs as people type them; `tail` tells runs apart. */
export function urls(tail) {
  const base = 'http://127.0.0.1:1/';
  return [
    `${base}a b,c.mp4?run=${tail}`,
    `${base}%2B%252B+~*(1)!.mp4?x=1&y='2'"&run=${tail}`,
    `${base}é/中文 😀.mp4?q=$HOME\`id\`&run=${tail}`,
  ];
}

export const TITLE = `"Title", it's é 中文 %2B + <b> \\ $HOME`;
