import { expect, it } from '@jest/globals';
import { decode } from '../../scheduler/decode.js';

const TEXT = 'é€“”';
const latin = (text: string) => Buffer.from(text, 'latin1');
/** é € “ ” in windows-1252. */
const WINDOWS = '\xe9\x80\x93\x94';

it.each([
  ['UTF-8 where nothing is said', Buffer.from(TEXT), '', TEXT],
  ['windows-1252 where it is no UTF-8', latin(WINDOWS), '', TEXT],
  ['windows-1252 where Latin-1 is meant', latin(WINDOWS), 'text/xml; charset=ISO-8859-1', TEXT],
  ['a UTF-8 mark, whatever is said', Buffer.from(`\ufeff${TEXT}`), 'text/xml; charset=iso-8859-1', TEXT],
  ['a UTF-16 mark', Buffer.from(`\ufeff${TEXT}`, 'utf16le'), '', TEXT],
  ['a UTF-16 mark the other way round', Buffer.from(`\ufeff${TEXT}`, 'utf16le').swap16(), '', TEXT],
  ['UTF-16 without a mark', Buffer.from(`<${TEXT}`, 'utf16le'), '', `<${TEXT}`],
  ['UTF-16 without a mark the other way round', Buffer.from(`<${TEXT}`, 'utf16le').swap16(), '', `<${TEXT}`],
  [
    'the header before the declaration',
    latin('<?xml encoding="utf-8"?>\xe0.'),
    'text/xml; charset="windows-1251"',
    '<?xml encoding="utf-8"?>а.',
  ],
  [
    'the declaration where the header is wrong',
    latin('<?xml encoding="windows-1251"?>\xe0.'),
    'a/b; charset=utf-8',
    '<?xml encoding="windows-1251"?>а.',
  ],
  [
    'the declaration',
    latin("<?xml version='1.0' encoding='koi8-r'?>\xc1"),
    'text/xml',
    "<?xml version='1.0' encoding='koi8-r'?>а",
  ],
  ['Japanese', latin('<?xml encoding="shift_jis"?>\x83\x65'), '', '<?xml encoding="shift_jis"?>テ'],
  ['Chinese', latin('<?xml encoding="gb2312"?>\xd6\xd0'), '', '<?xml encoding="gb2312"?>中'],
  ['HTML by its meta element', latin('<meta charset="iso-8859-2">\xb1'), 'text/html', '<meta charset="iso-8859-2">ą'],
  [
    'HTML by its old meta element',
    latin('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">\xb1'),
    '',
    expect.stringMatching(/ą$/),
  ],
  ['UTF-8 that declares UTF-16', Buffer.from('<?xml encoding="utf-16"?>é'), '', '<?xml encoding="utf-16"?>é'],
  [
    'UTF-8 that declares nonsense',
    Buffer.from('<?xml encoding="klingon"?>é'),
    'text/xml; charset=none',
    '<?xml encoding="klingon"?>é',
  ],
  ['UTF-8 that the header calls ISO 8859-1', Buffer.from(TEXT), 'text/xml; charset=iso-8859-1', TEXT],
  ['Chinese that could be UTF-8', latin('<?xml encoding="gb2312"?>\xc1\xaa'), '', '<?xml encoding="gb2312"?>联'],
  ['UTF-8 that ends within a character', Buffer.from(`${TEXT}€`).subarray(0, -1), 'text/xml; charset=utf-8', TEXT],
  ['UTF-8 with something else in it', Buffer.concat([Buffer.from(TEXT), latin('\x92')]), '', `${TEXT}’`],
  ['UTF-8 of surrogates', latin('\xed\xa0\xbd\xed\xb8\x80'), '', '😀'],
  ['nothing', Buffer.alloc(0), '', ''],
])('%s', (_, bytes, contentType, text) => expect(decode(bytes, contentType)).toEqual(text));
