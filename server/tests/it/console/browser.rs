//! A browser without scripts: keeps the cookie, sends forms as a page has them, follows nothing by
//! itself.

use crate::harness::{Answer, Client, raw};

/// Somebody at the console.
#[derive(Clone, Debug)]
pub struct Browser {
    pub client: Client,
    pub cookie: Option<String>,
}

/// A form of a page: where it goes, and the fields it has when it opens.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Browser {
    /// Not signed in.
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone(), cookie: None }
    }

    /// Signed in with a ticket.
    pub async fn signed_in(client: &Client) -> Self {
        let mut browser = Self::new(client);
        let ticket = ticket(client).await;
        let answer = browser.post("/console/ticket", &[("value", &ticket)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/console")));
        browser
    }

    pub async fn get(&self, target: &str) -> Answer {
        let mut headers = vec![("accept", "text/html")];
        let cookie = self.cookie.clone().unwrap_or_default();
        if self.cookie.is_some() {
            headers.push(("cookie", &cookie));
        }
        self.client.get(target, &headers).await
    }

    /// Sends a form from a page of this server, and takes the cookie of the answer.
    pub async fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.client.address);
        self.post_from(&origin, target, fields).await
    }

    /// As [`Browser::post`], from a page of another origin.
    pub async fn post_from(
        &mut self,
        origin: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookie = self.cookie.as_ref().map(|c| format!("cookie: {c}\r\n")).unwrap_or_default();
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\n{cookie}content-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: \
             close\r\n\r\n{body}",
            self.client.address,
            body.len()
        );
        let answer = raw(self.client.address, request.as_bytes()).await.unwrap();
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }

    /// Opens a page, and sends its form to `action` with these fields changed or added.
    pub async fn fill_in(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.get(page).await;
        let form = form(answer.text(), action);
        self.send(&form, fields).await
    }

    /// As [`Browser::send`], where fields of the form may occur several times.
    pub async fn send_all(&mut self, form: &Form, fields: &[(&str, &str)]) -> Answer {
        let kept = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let all: Vec<(&str, &str)> = kept.chain(fields.iter().copied()).collect();
        self.post(&form.action, &all).await
    }

    pub async fn send(&mut self, form: &Form, fields: &[(&str, &str)]) -> Answer {
        let kept = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let kept = kept.filter(|(name, _)| fields.iter().all(|(n, _)| n != name));
        let all: Vec<(&str, &str)> = kept.chain(fields.iter().copied()).collect();
        self.post(&form.action, &all).await
    }
}

/// A fresh ticket of a key.
pub async fn ticket(client: &Client) -> String {
    let reply = client.call("CreateConsoleSession", &[]).await.ok();
    reply["Ticket"].as_str().unwrap().to_owned()
}

/// The form of a page that goes to `action`, with its hidden fields.
#[track_caller]
pub fn form(html: &str, action: &str) -> Form {
    let opening = format!("action=\"{action}");
    let found = html.split("<form").skip(1).find(|form| form.contains(&opening));
    let form = found.unwrap_or_else(|| panic!("no form to {action} in {html}"));
    let form = form.split("</form>").next().unwrap();
    let inputs = form.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
    let fields = inputs.filter(|input| input.contains("type=\"hidden\"")).filter_map(|input| {
        Some((unescaped(attribute(input, "name")?), unescaped(attribute(input, "value")?)))
    });
    let action = unescaped(attribute(form, "action").unwrap());
    Form { action, fields: fields.collect() }
}

/// The first value of an attribute.
pub fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()
}

/// All values of an attribute, unescaped.
pub fn attributes(html: &str, name: &str) -> Vec<String> {
    let opening = format!(" {name}=\"");
    html.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).map(unescaped).collect()
}

/// Text of a page as a reader has it.
pub fn unescaped(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}
