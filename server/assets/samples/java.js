import { java } from './quote.js';

export const id = 'java';
export const label = 'Java';
export const note = 'Maven: com.aliyun:tea-openapi and com.aliyun:tea-util';

export function sample(call) {
  const query = call.params
    .map((p) => `        query.put(${java(p.name)}, ${java(p.value)});\n`)
    .join('');
  const v1 = call.scheme === 'V1' ? '\n            .setSignatureAlgorithm("v2")' : '';
  return `import com.aliyun.teaopenapi.Client;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teaopenapi.models.OpenApiRequest;
import com.aliyun.teaopenapi.models.Params;
import com.aliyun.teautil.models.RuntimeOptions;
import java.util.LinkedHashMap;
import java.util.Map;

public class Sample {
    public static void main(String[] arguments) throws Exception {
        Client client = new Client(new Config()
            .setAccessKeyId(System.getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"))
            .setAccessKeySecret(System.getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"))
            .setEndpoint(${java(call.host)})
            .setProtocol(${java(call.protocol)})${v1});
        Params params = new Params()
            .setAction(${java(call.action)})
            .setVersion(${java(call.version)})
            .setProtocol(${java(call.protocol.toUpperCase())})
            .setPathname("/")
            .setMethod(${java(call.method)})
            .setAuthType("AK")
            .setStyle("RPC")
            .setReqBodyType("formData")
            .setBodyType("json");
        Map<String, String> query = new LinkedHashMap<>();
${query}        OpenApiRequest request = new OpenApiRequest().setQuery(query);
        Map<String, ?> reply = client.callApi(params, request, new RuntimeOptions());
        System.out.println(reply.get("body"));
    }
}
`;
}
