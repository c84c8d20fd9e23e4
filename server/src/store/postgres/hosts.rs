//! Which of the hosts that the URL names takes writes, and what follows when that becomes another.
//!
//! A new connection goes to the host that took writes last. If it does not answer soon, all are asked
//! at once, and the first that takes writes is the primary from then on; whatever was connected
//! before leads to a server that is gone, hangs, or does not know yet that it was replaced, and is
//! given up at once. Which server may take writes is the business of whoever promotes them: with a
//! synchronous standby a primary that was left behind can acknowledge nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Connect, Metrics};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_ok};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::Host;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the host that took writes last may take for a new connection, its greeting included, before
/// the others are asked as well.
const OWN_TIME: Duration = Duration::from_secs(2);
/// How long all may take before they are asked anew: one that is silent must not hide that another has
/// been promoted meanwhile.
const ROUND_TIME: Duration = Duration::from_secs(5);

/// The function of the server that waits for standbys, which it names in its messages. What they say
/// is in the server's language.
const STANDBY_WAIT: &str = "SyncRepWaitForLSN";

/// The hosts of one URL; clones share what is known of them.
#[derive(Clone)]
pub(super) struct Hosts(Arc<Shared>);

struct Shared {
    each: Vec<Config>,
    tls: Option<MakeRustlsConnect>,
    primary: watch::Sender<Primary>,
    /// Waits for a standby that were ended before it had the commit.
    cancelled_waits: AtomicU64,
}

/// The host that took writes last; none before the first connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Primary {
    host: Option<usize>,
    /// Since when, as far as this node knows.
    since: Instant,
}

impl Hosts {
    /// `config` names at least one host, and a port for each.
    pub(super) fn new(config: &Config, tls: Option<MakeRustlsConnect>) -> Self {
        let each = (0..config.get_hosts().len()).map(|host| alone(config, host)).collect();
        let primary = watch::Sender::new(Primary { host: None, since: Instant::now() });
        Self(Arc::new(Shared { each, tls, primary, cancelled_waits: AtomicU64::new(0) }))
    }

    /// A connection to the primary; its second half is to be driven by a task. There is no limit of
    /// time here for hosts that all are silent.
    pub(super) async fn connect(&self, name: Option<&str>) -> Result<(Client, Driver), Error> {
        if self.0.each.len() == 1 {
            let (client, driver, _) = self.dial(0, name).await?;
            return Ok((client, driver));
        }
        let last = self.0.primary.borrow().host;
        if let Some(last) = last
            && let Ok(Ok((client, driver, _))) = timeout(OWN_TIME, self.dial(last, name)).await
            && self.0.primary.borrow().host == Some(last)
        {
            return Ok((client, driver));
        }
        let (client, driver, host) = loop {
            let all = (0..self.0.each.len()).map(|host| self.dial(host, name).boxed());
            if let Ok(first) = timeout(ROUND_TIME, select_ok(all)).await {
                break first?.0;
            }
        };
        let moved = self.0.primary.send_if_modified(|primary| {
            let is_first = primary.host.is_none();
            let moves = primary.host.replace(host) != Some(host) && !is_first;
            if moves {
                primary.since = Instant::now();
            }
            moves
        });
        if moved {
            tracing::warn!("the database that takes writes is at another of its hosts now");
        }
        Ok((client, driver))
    }

    /// Tells when the primary becomes another than it is now.
    pub(super) fn watch(&self) -> watch::Receiver<Primary> {
        self.0.primary.subscribe()
    }

    /// Whether a connection was made to the primary of now.
    pub(super) fn is_of_now(&self, metrics: &Metrics) -> bool {
        metrics.created >= self.0.primary.borrow().since.into_std()
    }

    /// How many waits for a standby were ended so far. When it grows during a commit, that commit's
    /// may have been among them: the server has answered it with success, and the standby lacks it.
    pub(super) fn cancelled_waits(&self) -> u64 {
        self.0.cancelled_waits.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn have_tls(&self) -> bool {
        self.0.tls.is_some()
    }

    async fn dial(
        &self,
        host: usize,
        name: Option<&str>,
    ) -> Result<(Client, Driver, usize), Error> {
        let mut config = self.0.each[host].clone();
        if let Some(name) = name {
            config.application_name(name);
        }
        let (client, stream) = match &self.0.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, Stream::Plain(Box::new(connection)))
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, Stream::Tls(Box::new(connection)))
            }
        };
        Ok((client, Driver { stream, hosts: self.clone() }, host))
    }
}

/// Ready when the primary has become another.
pub(super) async fn moved(primary: &mut watch::Receiver<Primary>) {
    if primary.changed().await.is_err() {
        // The sender is in the store, which is closing.
        std::future::pending::<()>().await;
    }
}

/// The configuration with one of its hosts.
fn alone(all: &Config, host: usize) -> Config {
    let mut one = Config::new();
    match &all.get_hosts()[host] {
        Host::Tcp(name) => one.host(name),
        Host::Unix(path) => one.host_path(path),
    };
    if let Some(address) = all.get_hostaddrs().get(host) {
        one.hostaddr(*address);
    }
    let ports = all.get_ports();
    if let Some(port) = ports.get(host).or(ports.first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(name) = all.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    if let Some(time) = all.get_connect_timeout() {
        one.connect_timeout(*time);
    }
    if let Some(time) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*time);
    }
    if let Some(interval) = all.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .target_session_attrs(all.get_target_session_attrs())
        .load_balance_hosts(all.get_load_balance_hosts());
    one
}

/// What moves a connection's bytes.
pub(super) struct Driver {
    stream: Stream,
    hosts: Hosts,
}

type TlsStream = <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream;

enum Stream {
    Plain(Box<tokio_postgres::Connection<Socket, tokio_postgres::tls::NoTlsStream>>),
    Tls(Box<tokio_postgres::Connection<Socket, TlsStream>>),
}

impl Driver {
    /// The next thing that the server says on its own; `None` when the connection has ended.
    pub(super) async fn message(&mut self) -> Option<AsyncMessage> {
        let said = std::future::poll_fn(|context| match &mut self.stream {
            Stream::Plain(connection) => connection.poll_message(context),
            Stream::Tls(connection) => connection.poll_message(context),
        });
        let said = said.await?.ok()?;
        if let AsyncMessage::Notice(notice) = &said
            && is_cancelled_wait(notice)
        {
            // The answer to the commit comes after this on the same connection, so whoever awaits it
            // sees the count.
            self.hosts.0.cancelled_waits.fetch_add(1, Ordering::SeqCst);
            tracing::warn!("the wait of a commit for a standby was cancelled");
        }
        Some(said)
    }

    /// Moves bytes until the connection ends.
    pub(super) async fn run(mut self) {
        while self.message().await.is_some() {}
    }
}

fn is_cancelled_wait(notice: &DbError) -> bool {
    notice.routine() == Some(STANDBY_WAIT)
}

/// How a pool comes to its connections.
pub(super) struct Dial {
    hosts: Hosts,
    home: Handle,
}

impl Dial {
    /// Must be called on the runtime that is to drive the connections.
    pub(super) fn new(hosts: Hosts) -> Self {
        Self { hosts, home: Handle::current() }
    }
}

impl Connect for Dial {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(async move {
            let (client, driver) = self.hosts.connect(None).await?;
            // The pool ends it with the connection.
            Ok((client, self.home.spawn(driver.run())))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn each_host_has_all_that_the_url_says() {
        let url = "postgres://me:word@a.example:6432,b.example:7432/jobs?\
            application_name=mine&options=-csearch_path%3Dx&connect_timeout=3&keepalives=0&\
            keepalives_idle=7&keepalives_interval=8&keepalives_retries=9&tcp_user_timeout=11&\
            target_session_attrs=read-write&channel_binding=require&sslnegotiation=direct&\
            load_balance_hosts=random&sslmode=require";
        let all = Config::from_str(url).unwrap();
        for (host, name) in ["a.example:6432", "b.example:7432"].into_iter().enumerate() {
            let alone = alone(&all, host);
            let expected = url.replace("a.example:6432,b.example:7432", name);
            assert_eq!(alone, Config::from_str(&expected).unwrap());
        }
    }
}
