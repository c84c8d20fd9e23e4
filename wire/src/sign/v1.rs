//! V1.

pub fn string_to_sign<'a>(method: &str, params: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let _ = (method, params);
    unimplemented!()
}

pub fn signature(secret: &str, string_to_sign: &str) -> String {
    let _ = (secret, string_to_sign);
    unimplemented!()
}
