import { php } from './quote.js';

export const id = 'php';
export const label = 'PHP';
export const note = 'composer require alibabacloud/darabonba-openapi alibabacloud/tea-utils';

export function sample(call) {
  const query = call.params.map((p) => `    ${php(p.name)} => ${php(p.value)},\n`).join('');
  const v1 = call.scheme === 'V1' ? "\n    'signatureAlgorithm' => 'v2'," : '';
  return `<?php

require 'vendor/autoload.php';

use AlibabaCloud\\Tea\\Utils\\Utils\\RuntimeOptions;
use Darabonba\\OpenApi\\Models\\Config;
use Darabonba\\OpenApi\\Models\\OpenApiRequest;
use Darabonba\\OpenApi\\Models\\Params;
use Darabonba\\OpenApi\\OpenApiClient;

$client = new OpenApiClient(new Config([
    'accessKeyId' => getenv('ALIBABA_CLOUD_ACCESS_KEY_ID'),
    'accessKeySecret' => getenv('ALIBABA_CLOUD_ACCESS_KEY_SECRET'),
    'endpoint' => ${php(call.host)},
    'protocol' => ${php(call.protocol)},${v1}
]));
$params = new Params([
    'action' => ${php(call.action)},
    'version' => ${php(call.version)},
    'protocol' => ${php(call.protocol.toUpperCase())},
    'pathname' => '/',
    'method' => ${php(call.method)},
    'authType' => 'AK',
    'style' => 'RPC',
    'reqBodyType' => 'formData',
    'bodyType' => 'json',
]);
$query = [
${query}];
$reply = $client->callApi($params, new OpenApiRequest(['query' => $query]), new RuntimeOptions([]));
echo json_encode($reply['body'], JSON_UNESCAPED_UNICODE), PHP_EOL;
`;
}
