// Every language of the sample code. A module has id, label, note, and sample(call).
//
// `call`: action, version, ours (an operation of Haulage), params (name, value, kind, ours; filled
// ones only, values as they are on the wire before encoding), scheme, method, format, protocol
// ('http' or 'https'), host (with port), hostname, port.

import * as pythonNew from './python_new.js';
import * as pythonClassic from './python_classic.js';
import * as nodeNew from './node_new.js';
import * as nodeClassic from './node_classic.js';
import * as java from './java.js';
import * as go from './go.js';
import * as php from './php.js';
import * as csharp from './csharp.js';
import * as rust from './rust.js';
import * as curl from './curl.js';
import * as haulage from './haulage.js';
import * as aliyun from './aliyun.js';

export const LANGUAGES = [
  pythonNew, pythonClassic, nodeNew, nodeClassic, java, go, php, csharp, rust, curl, haulage, aliyun,
];
