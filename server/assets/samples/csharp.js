import { csharp } from './quote.js';

export const id = 'csharp';
export const label = 'C#';
export const note = 'dotnet add package AlibabaCloud.OpenApiClient';

export function sample(call) {
  const query = call.params
    .map((p) => `    [${csharp(p.name)}] = ${csharp(p.value)},\n`)
    .join('');
  const v1 = call.scheme === 'V1' ? '\n    SignatureAlgorithm = "v2",' : '';
  return `using System;
using System.Collections.Generic;
using AlibabaCloud.OpenApiClient;
using AlibabaCloud.OpenApiClient.Models;
using AlibabaCloud.TeaUtil;
using AlibabaCloud.TeaUtil.Models;

var client = new Client(new Config
{
    AccessKeyId = Environment.GetEnvironmentVariable("ALIBABA_CLOUD_ACCESS_KEY_ID"),
    AccessKeySecret = Environment.GetEnvironmentVariable("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
    Endpoint = ${csharp(call.host)},
    Protocol = ${csharp(call.protocol)},${v1}
});
var parameters = new Params
{
    Action = ${csharp(call.action)},
    Version = ${csharp(call.version)},
    Protocol = ${csharp(call.protocol.toUpperCase())},
    Pathname = "/",
    Method = ${csharp(call.method)},
    AuthType = "AK",
    Style = "RPC",
    ReqBodyType = "formData",
    BodyType = "json",
};
var query = new Dictionary<string, string>
{
${query}};
var reply = client.CallApi(parameters, new OpenApiRequest { Query = query }, new RuntimeOptions());
Console.WriteLine(Common.ToJSONString(reply["body"]));
`;
}
