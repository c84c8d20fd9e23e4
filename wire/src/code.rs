//! Every error the gateway can answer: status, message, cause, fix and where the code comes from.
//!
//! The server, the error centre (`/errors/{Code}`), the documents and `openapi.json` read this one
//! table, so no code can be sent that nothing explains.

use std::borrow::Cow;
use std::fmt;

use crate::spec;

/// Where a code, its status or its message comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Published by the cloud.
    Documented(&'static str),
    /// Seen in answers of the live gateway, published by its callers.
    Observed(&'static str),
    /// Ours, because nothing is published; the text says why.
    Chosen(&'static str),
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $message:literal,
        cause: $cause:literal, fix: $fix:literal, $origin:ident($source:literal);)+) => {
        /// A code on the wire. `Missing` and `InvalidParameterOf` are families: their text is
        /// completed with the parameter a [`Fault`] carries.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        text: $text,
                        status: $status,
                        message: $message,
                        cause: $cause,
                        fix: $fix,
                        origin: Origin::$origin($source),
                    },)+
                }
            }
        }
    };
}

struct Row {
    text: &'static str,
    status: u16,
    message: &'static str,
    cause: &'static str,
    fix: &'static str,
    origin: Origin,
}

codes! {
    // ---- the gateway, §8.1
    /// `Missing{Param}`.
    Missing = "Missing{Param}", 400, "{Param} is mandatory for this action.",
        cause: "The request has no {Param}, or an empty one.",
        fix: "Send {Param}; the page of the operation in the explorer says what it holds.",
        Documented("gateway error table, as a family, §8.1");
    MissingParameter = "MissingParameter", 400,
        "The input parameter that is mandatory for processing this request is not supplied.",
        cause: "The operation needs one of several parameters, and none of them was sent.",
        fix: "Send one of the parameters that the message names.",
        Documented("VOD common error codes, §8.1");
    InvalidParameter = "InvalidParameter", 400, "The specified parameter is not valid.",
        cause: "The request's parameters cannot be read: a broken percent-escape, text that is \
                not UTF-8, a name given twice, or more of something than the limits allow.",
        fix: "Give every parameter once, in the query or in the form body, encoded as UTF-8 and \
              percent-escaped.",
        Documented("VOD common error codes, §8.2; the cases are chosen");
    /// `InvalidParameter.{Param}`.
    InvalidParameterOf = "InvalidParameter.{Param}", 400,
        "The specified parameter {Param} is not valid.",
        cause: "{Param} breaks a rule of the operation: too many entries, an empty entry, a \
                value outside its range or set, or text that is too long.",
        fix: "Compare {Param} with its limits on the operation's page in the explorer; the \
              message names the entry that is at fault where there are several.",
        Documented("UploadMediaByURL publishes InvalidParameter.UploadURLs; other members by \
                    analogy, §8.2");
    InvalidFormat = "InvalidParameter.Format", 400, "Specified parameter format is not valid.",
        cause: "Format is neither JSON nor XML.",
        fix: "Send Format=JSON or Format=XML, or leave it out.",
        Documented("gateway error table, §8.1");
    InvalidActionNotFound = "InvalidAction.NotFound", 404,
        "Specified api is not found, please check your url and method.",
        cause: "No operation has this name. Names are case-sensitive: it is GetURLUploadInfos \
                but CancelUrlUploadJobs.",
        fix: "Check the spelling against the list in the explorer, and that the path is /.",
        Observed("aliyun-cli#415, §8.1");
    InvalidVersion = "InvalidVersion", 404, "Specified parameter Version is not valid.",
        cause: "Version is not 2017-03-21, the only version of this API.",
        fix: "Send Version=2017-03-21.",
        Observed("aliyun-openapi-java-sdk#23; the status is chosen, §8.1");
    UnsupportedHTTPMethod = "UnsupportedHTTPMethod", 405, "This http method is not supported.",
        cause: "The API takes GET and POST only. X-HTTP-Method-Override is not obeyed.",
        fix: "Use GET or POST.",
        Chosen("no public capture of this answer was found, §8.1");
    RequestTooLarge = "RequestTooLarge", 413, "The request is too large.",
        cause: "The query or the body is longer than the gateway reads.",
        fix: "Split the call, or move long parameters from the query into a form body.",
        Chosen("the cloud publishes no code for this");
    IncompleteSignature = "IncompleteSignature", 400,
        "The request signature does not conform to Aliyun standards.",
        cause: "The signature is there but not whole: the Authorization header cannot be read, \
                SignedHeaders misses a header that must be signed, a signed header is absent or \
                given twice, or both signature styles are used at once.",
        fix: "Sign with an official SDK, or compare with the string to sign that the explorer \
              shows; the message names the header at fault.",
        Documented("V3 signature page; the status and the case of two styles are chosen, §8.1");
    UnsupportedSignatureMethod = "UnsupportedSignatureMethod", 400,
        "The specified signature method is not supported.",
        cause: "Only HMAC-SHA1 (signature version 1.0) and ACS3-HMAC-SHA256 are implemented. \
                ACS3-HMAC-SM3, ACS3-RSA-SHA256 and bearer tokens are not.",
        fix: "Use an AccessKey or STS credential and the SDK's default signature.",
        Chosen("the cloud supports these; its code for an unknown method is not published, §4");
    SignatureDoesNotMatch = "SignatureDoesNotMatch", 400,
        "Specified signature is not matched with our calculation. server string to sign is:",
        cause: "The AccessKeySecret is another one, or the request was changed after it was \
                signed, or it was signed by other encoding rules.",
        fix: "Compare your string to sign with the one in the message. If they are equal, the \
              secret is wrong; if not, the first difference shows the parameter or header.",
        Observed("NewFuture/DDNS#57 (V1) and third-party captures (V3), §8.1");
    ContentSha256NotMatched = "ContentSha256NotMatched", 400,
        "Specified x-acs-content-sha256 is not matched with your request body.",
        cause: "The header x-acs-content-sha256 is not the lower-case hexadecimal SHA-256 of \
                the body that arrived. Unsigned payloads and trailers are not accepted.",
        fix: "Hash the bytes you send; for an empty body that is e3b0c442…b855.",
        Chosen("after ContentMD5NotMatched, §8.1");
    SignatureNonceUsed = "SignatureNonceUsed", 400, "Specified signature nonce was used already.",
        cause: "A request with this nonce and AccessKey was accepted before: it was sent twice, \
                or by a proxy that repeats requests.",
        fix: "Use a new SignatureNonce (a UUID) for every request, also for a retry.",
        Observed("alibaba-cloud-sdk-go#39, §8.1");
    InvalidTimeStampExpired = "InvalidTimeStamp.Expired", 400,
        "Specified time stamp or date value is expired.",
        cause: "Timestamp or x-acs-date is more than 15 minutes from the server's time.",
        fix: "Set the clock of the machine that signs; times are UTC.",
        Observed("ddns-go#1291; the window is documented, §6");
    InvalidTimeStampFormat = "InvalidTimeStamp.Format", 400,
        "Specified time stamp or date value is not well formatted.",
        cause: "Timestamp or x-acs-date is not of the form YYYY-MM-DDThh:mm:ssZ in UTC.",
        fix: "Send for example 2026-01-02T03:04:05Z; an offset is not accepted.",
        Documented("gateway error table, §8.1");
    InvalidAccessKeyIdNotFound = "InvalidAccessKeyId.NotFound", 404,
        "Specified access key is not found.",
        cause: "This server knows no such AccessKeyId, or it was deleted.",
        fix: "List the keys with `haulage key list`; create one with `haulage key create`.",
        Documented("gateway error table, §8.1");
    InvalidAccessKeyIdInactive = "InvalidAccessKeyId.Inactive", 400,
        "Specified access key is disabled.",
        cause: "The AccessKey was disabled.",
        fix: "Enable it with `haulage key enable`, or use another one.",
        Documented("gateway error table, §8.1");
    InvalidSecurityTokenExpired = "InvalidSecurityToken.Expired", 400,
        "Specified SecurityToken is expired.",
        cause: "The temporary credential is past its end.",
        fix: "Get a new temporary credential.",
        Observed("general knowledge of the gateway, not verified, §8.1");
    InvalidSecurityTokenMalformed = "InvalidSecurityToken.Malformed", 400,
        "Specified SecurityToken is malformed.",
        cause: "The security token was not issued by this server, or a temporary AccessKey was \
                used without its token.",
        fix: "Send the token exactly as it was issued, with the AccessKey it belongs to.",
        Observed("general knowledge of the gateway, not verified, §8.1");
    InvalidSecurityTokenMismatch = "InvalidSecurityToken.MismatchWithAccessKey", 400,
        "Specified SecurityToken mismatch with the AccessKey.",
        cause: "The security token belongs to another AccessKey, or a token came with a \
                permanent AccessKey.",
        fix: "Send key id, secret and token of one and the same credential; a permanent key has \
              no token.",
        Observed("general knowledge of the gateway, not verified, §8.1");
    ForbiddenRAM = "Forbidden.RAM", 403,
        "User not authorized to operate on the specified resource, or this API doesn't support \
         RAM.",
        cause: "The policies of this key do not allow the operation, or deny it.",
        fix: "Allow the action vod:{operation} for this key; a Deny beats every Allow.",
        Observed("acme.sh#1898; statuses 403 and 400 both occur, §8.1");
    Throttling = "Throttling", 400, "Request was denied due to request throttling.",
        cause: "The server as a whole takes no more requests of this kind now.",
        fix: "Wait as long as the header x-acs-retry-after says (milliseconds), then repeat.",
        Documented("CDN error codes, §8.1");
    ThrottlingUser = "Throttling.User", 400, "Request was denied due to user flow control.",
        cause: "The account calls this operation more often than its limit: calls per second, or \
                for UploadMediaByURL also calls per day. All keys of an account share it.",
        fix: "Wait as long as the header x-acs-retry-after says (milliseconds), then repeat; \
              put up to 10 ids or 20 URLs into one call.",
        Documented("VOD limits page; for the day's quota chosen, §12");
    ThrottlingApi = "Throttling.Api", 400, "Request was denied due to api flow control.",
        cause: "All accounts together call this operation more often than the server allows.",
        fix: "Wait as long as the header x-acs-retry-after says (milliseconds), then repeat.",
        Observed("general knowledge of the gateway, not verified, §8.1");
    ServiceUnavailable = "ServiceUnavailable", 503,
        "The request has failed due to a temporary failure of the server.",
        cause: "The server is starting, stopping, or cannot reach its database or storage now.",
        fix: "Repeat with a pause; if it lasts, run `haulage doctor` on the server.",
        Documented("VOD common error codes, §8.1");
    InternalError = "InternalError", 500,
        "The request processing has failed due to some unknown error.",
        cause: "A fault of the server itself.",
        fix: "Look up the RequestId in the server's log and report it.",
        Documented("VOD common error codes, §8.1");

    // ---- the product, §8.2
    Forbidden = "Forbidden", 403, "User not authorized to operate on the specified resource.",
        cause: "The resource exists but is not this caller's to use.",
        fix: "Use a key of the account that owns the resource.",
        Documented("VOD common error codes, §8.2");
    OperationDeniedSuspended = "OperationDenied.Suspended", 403, "Your VOD service is suspended.",
        cause: "The operator disabled this account.",
        fix: "Ask the operator of the server.",
        Documented("VOD common error codes, §8.2");
    InvalidVideoNotFound = "InvalidVideo.NotFound", 404, "The video does not exist.",
        cause: "The account has no media with this VideoId or ReferenceId.",
        fix: "Take the MediaId that GetURLUploadInfos shows for the job.",
        Documented("GetPlayInfo, §8.2");
    InvalidVideoNoneStream = "InvalidVideo.NoneStream", 403,
        "The video has no stream to play for the request parameter.",
        cause: "The media exists, but the filters (Formats, Definition, StreamType, CodecName) \
                leave none of its streams.",
        fix: "Leave the filters out to see what there is.",
        Documented("GetPlayInfo; the status is chosen, §8.2");
    ForbiddenIllegalStatus = "Forbidden.IllegalStatus", 403, "Status of the video is illegal.",
        cause: "The media is not in the status Normal yet, or failed.",
        fix: "Wait until the job's status is SUCCESS; the message shows the media's status.",
        Documented("GetPlayInfo, §8.2");
    InvalidStorageNotFound = "InvalidStorage.NotFound", 404, "The StorageLocation does not exist.",
        cause: "StorageLocation names no storage of this server.",
        fix: "Leave it out for the default storage, or use a configured name.",
        Documented("CreateUploadVideo, reused for UploadMediaByURL, §8.2");
    InvalidTemplateGroupIdNotFound = "InvalidTemplateGroupId.NotFound", 404,
        "The TemplateGroupId does not exist.",
        cause: "TemplateGroupId names no template group of this server.",
        fix: "Leave it out, or use VOD_NO_TRANSCODE.",
        Documented("CreateUploadVideo, reused for UploadMediaByURL, §8.2");
    InvalidCateIdNotFound = "InvalidCateId.NotFound", 404, "The CateId not exist.",
        cause: "CateId names no category of this account.",
        fix: "Leave it out, or use a category that exists.",
        Documented("categories, §8.2");
    InvalidFileNameExtension = "InvalidFileName.Extension", 400,
        "The specified FileName's extension is illegal.",
        cause: "FileExtension is none of the supported audio and video extensions.",
        fix: "Send one of the supported extensions, such as mp4.",
        Documented("CreateUploadVideo, reused for UploadMediaByURL, §8.2");
    IllegalCharacters = "IllegalCharacters", 400,
        "The specified parameter contains illegal emoticon or special characters.",
        cause: "A title, description or tag contains an emoji or a control character.",
        fix: "Remove the characters; the message names the field.",
        Documented("CreateUploadVideo, reused for UploadMediaByURL, §8.2");
    LengthExceededMax = "LengthExceededMax", 400,
        "The specified parameter length has exceeded its maximum.",
        cause: "A text is longer than its limit. Limits count bytes of UTF-8, not characters.",
        fix: "Shorten the text; the message names the field and the limit.",
        Documented("CreateUploadVideo, reused for UploadMediaByURL, §8.2");
    TagsExceededMax = "TagsExceededMax", 400, "The specified Tags count has exceeded 16.",
        cause: "More than 16 tags were given for one media.",
        fix: "Send at most 16 tags, separated by commas.",
        Documented("CreateUploadVideo, reused for UploadMediaByURL, §8.2");

    // ---- ours
    QueueFull = "QueueFull", 503, "The queue of URL-based upload jobs is full.",
        cause: "The account, or the server, has as many pending jobs as its limit allows; \
                nothing of this call was accepted.",
        fix: "Wait until jobs finish, cancel some, or raise the limit in the configuration.",
        Chosen("the cloud publishes no limit of its queue");
    InvalidJobIdNotFound = "InvalidJobId.NotFound", 404, "The job does not exist.",
        cause: "The account has no job with this id.",
        fix: "Take the JobId that UploadMediaByURL answered, and a key of the same account.",
        Chosen("giving a job another URL is an addition of this server");
    IncorrectJobStatus = "IncorrectJobStatus", 403,
        "The status of the job does not allow this operation.",
        cause: "A job is given another URL only while its status is AWAITING_URL: its source \
                refuses the URL it has, and its deadline has not passed.",
        fix: "Look at the job with GetURLUploadInfos and IncludeProgress; submit the new URL as a \
              new job if this one has ended.",
        Chosen("giving a job another URL is an addition of this server");
    StorageFull = "StorageFull", 503, "The server has no space to accept jobs.",
        cause: "The disk of the database or of the storage is full; nothing of this call was \
                accepted. Queries and cancels still answer.",
        fix: "Free space on the server, then repeat.",
        Chosen("the cloud publishes nothing comparable");
    InvalidRequestIdNotFound = "InvalidRequestId.NotFound", 404,
        "No request with this id is remembered.",
        cause: "The id is misspelt, the request was answered too long ago or by a process that \
                has stopped since, or it was not signed with a key of this account.",
        fix: "Copy the RequestId of the answer; an operator also finds it in the log.",
        Chosen("looking up a request is an addition of this server");
}

/// Longest parameter name that an error code is completed with, in bytes.
const MEMBER_LIMIT: usize = 64;

/// The two families: text before the parameter's name.
const FAMILIES: [(Code, &str); 2] =
    [(Code::InvalidParameterOf, "InvalidParameter."), (Code::Missing, "Missing")];

impl Code {
    /// The code as sent; of a family, its pattern.
    pub fn as_str(self) -> &'static str {
        self.row().text
    }

    /// HTTP status.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The message, or how it begins where the fault completes it. `{Param}` in a family.
    pub fn message(self) -> &'static str {
        self.row().message
    }

    /// What leads to this answer, for a person.
    pub fn cause(self) -> &'static str {
        self.row().cause
    }

    /// What to do about it, for a person.
    pub fn fix(self) -> &'static str {
        self.row().fix
    }

    /// Where the code comes from.
    pub fn origin(self) -> Origin {
        self.row().origin
    }

    /// The code a text means, members of a family included (`MissingSignature`).
    #[expect(clippy::should_implement_trait, reason = "an unknown text is no error to explain")]
    pub fn from_str(text: &str) -> Option<Self> {
        resolve(text).map(|(code, _)| code)
    }

    /// Whether the text is a pattern, completed with the name of a parameter.
    pub fn is_family(self) -> bool {
        FAMILIES.iter().any(|(family, _)| *family == self)
    }
}

/// The code and, for a member of a family, the parameter's name.
fn resolve(text: &str) -> Option<(Code, Option<&str>)> {
    let exact = Code::ALL.iter().find(|code| !code.is_family() && code.as_str() == text);
    if let Some(code) = exact {
        return Some((*code, None));
    }
    FAMILIES.iter().find_map(|(family, before)| {
        let parameter = text.strip_prefix(before)?;
        is_member(parameter).then_some((*family, Some(parameter)))
    })
}

fn is_member(parameter: &str) -> bool {
    parameter.len() <= MEMBER_LIMIT
        && parameter.starts_with(|first: char| first.is_ascii_alphabetic())
        && parameter.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// An error to answer: a code, the parameter of a family's member, and the message.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    code: Code,
    parameter: Option<String>,
    message: Cow<'static, str>,
    retry_after_ms: Option<u64>,
}

impl Fault {
    /// With the code's own message.
    pub fn new(code: Code) -> Self {
        Self { code, parameter: None, message: code.message().into(), retry_after_ms: None }
    }

    /// With a message of its own. It is shown to the caller: nothing of another account, no secret.
    pub fn with_message(code: Code, message: impl Into<String>) -> Self {
        Self { message: Cow::Owned(message.into()), ..Self::new(code) }
    }

    /// `Missing{Param}`. `parameter` is a name of the tables, not text of a caller.
    pub fn missing(parameter: &str) -> Self {
        Self::member(Code::Missing, parameter)
    }

    /// `MissingParameter`: none of several, as `JobIds or UploadUrls`.
    pub fn missing_one_of(parameters: &str) -> Self {
        let message = format!(
            "The input parameter \"{parameters}\" that is mandatory for processing this request \
             is not supplied."
        );
        Self::with_message(Code::MissingParameter, message)
    }

    /// `InvalidParameter.{Param}`. `parameter` is a name of the tables, not text of a caller.
    pub fn invalid(parameter: &str) -> Self {
        Self::member(Code::InvalidParameterOf, parameter)
    }

    /// As [`Fault::invalid`], with a sentence that says what is wrong after the documented one.
    pub fn invalid_because(parameter: &str, why: impl fmt::Display) -> Self {
        let fault = Self::invalid(parameter);
        Self { message: Cow::Owned(format!("{} {why}", fault.message)), ..fault }
    }

    fn member(code: Code, parameter: &str) -> Self {
        let message = Cow::Owned(code.message().replace("{Param}", parameter));
        Self { code, parameter: Some(parameter.to_owned()), message, retry_after_ms: None }
    }

    /// Says when to come back: the header `x-acs-retry-after`, in milliseconds, at least 1 (the
    /// clients take it for a throttling error only if it is positive, §7.3).
    #[must_use]
    pub fn retry_after(self, ms: u64) -> Self {
        Self { retry_after_ms: Some(ms.max(1)), ..self }
    }

    /// Which row of the table this is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The code as sent.
    pub fn code_text(&self) -> Cow<'_, str> {
        match &self.parameter {
            Some(parameter) => Cow::Owned(self.code.as_str().replace("{Param}", parameter)),
            None => Cow::Borrowed(self.code.as_str()),
        }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// Milliseconds, if the caller should wait.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }
}

/// The message of a signature that does not match holds the whole request, links with their
/// secrets included: it is for the caller, never for a log.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self.code {
            Code::SignatureDoesNotMatch => "(not shown)",
            _ => self.message(),
        };
        write!(f, "Fault({} {}: {message})", self.status(), self.code_text())
    }
}

/// As `Debug`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Fault {}

/// What the error centre shows of a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    pub code: String,
    /// HTTP status.
    pub status: u16,
    pub message: String,
    pub cause: String,
    pub fix: String,
    pub origin: Origin,
}

/// The explanation of a code's text; `Some` for every text a [`Fault`] can carry.
pub fn explain(code_text: &str) -> Option<Explanation> {
    let (code, parameter) = resolve(code_text)?;
    let fill = |text: &str| parameter.map_or(text.to_owned(), |name| text.replace("{Param}", name));
    Some(Explanation {
        code: fill(code.as_str()),
        status: code.status(),
        message: fill(code.message()),
        cause: fill(code.cause()),
        fix: fill(code.fix()),
        origin: code.origin(),
    })
}

/// Every code, the families spelled out for every parameter of the tables, in the order of the
/// table and of the operations.
pub fn all_explanations() -> Vec<Explanation> {
    let mut texts: Vec<String> = Vec::new();
    for code in Code::ALL {
        let members = spec::COMMON_PARAMETERS
            .iter()
            .chain(spec::OPERATIONS.iter().flat_map(|operation| operation.parameters))
            .filter(|_| code.is_family())
            .map(|parameter| code.as_str().replace("{Param}", parameter.name));
        let alone = (!code.is_family()).then(|| code.as_str().to_owned());
        for text in alone.into_iter().chain(members) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts.iter().filter_map(|text| explain(text)).collect()
}
