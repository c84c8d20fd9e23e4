//! `haulage console`: a link that signs a browser in, once. The secret key stays where it is.

use serde_json::json;

use super::screen::{Screen, emit, print_line};
use super::setup::ServerArgs;
use super::{Failure, Outcome};

/// Print a link that signs a browser in to the console, once, within a minute
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        let client = self.server.client()?;
        let base = self.server.public_url()?.unwrap_or_else(|| client.server().to_string());
        let ticket = client.console_ticket().await?;
        if !ticket.ticket.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Failure::No("the server's ticket cannot be part of a link".to_owned()));
        }
        let link = format!("{base}/console/ticket?value={}", ticket.ticket);
        if self.json {
            emit(&json!({ "Link": link, "ExpireTime": ticket.expire_time }));
        } else {
            Screen::stderr().say("Open this link within a minute; it signs in once:");
            print_line(&link);
        }
        Ok(())
    }
}
