import { go } from './quote.js';

export const id = 'go';
export const label = 'Go';
export const note = 'go get github.com/alibabacloud-go/darabonba-openapi/v2 github.com/alibabacloud-go/tea-utils/v2';

export function sample(call) {
  const query = call.params
    .map((p) => `\t\t${go(p.name)}: tea.String(${go(p.value)}),\n`)
    .join('');
  const v1 = call.scheme === 'V1' ? '\n\t\tSignatureAlgorithm: tea.String("v2"),' : '';
  return `package main

import (
\t"fmt"
\t"log"
\t"os"

\topenapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
\tutil "github.com/alibabacloud-go/tea-utils/v2/service"
\t"github.com/alibabacloud-go/tea/tea"
)

func main() {
\tclient, err := openapi.NewClient(&openapi.Config{
\t\tAccessKeyId:     tea.String(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID")),
\t\tAccessKeySecret: tea.String(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")),
\t\tEndpoint:        tea.String(${go(call.host)}),
\t\tProtocol:        tea.String(${go(call.protocol)}),${v1}
\t})
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tparams := &openapi.Params{
\t\tAction:      tea.String(${go(call.action)}),
\t\tVersion:     tea.String(${go(call.version)}),
\t\tProtocol:    tea.String(${go(call.protocol.toUpperCase())}),
\t\tPathname:    tea.String("/"),
\t\tMethod:      tea.String(${go(call.method)}),
\t\tAuthType:    tea.String("AK"),
\t\tStyle:       tea.String("RPC"),
\t\tReqBodyType: tea.String("formData"),
\t\tBodyType:    tea.String("json"),
\t}
\trequest := &openapi.OpenApiRequest{Query: map[string]*string{
${query}\t}}
\treply, err := client.CallApi(params, request, &util.RuntimeOptions{})
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tfmt.Println(reply["body"])
}
`;
}
