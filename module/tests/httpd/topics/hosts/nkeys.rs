//! Who a host is to NATS, by keys in place of passwords.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::broker::Kind;

use super::{broker, host, listener, publish, settle};
use crate::support::{Context, PATIENCE, cases, wait_until};
use crate::topics::{ask, open, root};

cases! {
    "hosts (NATS): a host may have an nkey, whose seed no log shows" => nkey,
    "hosts (NATS): a host may have a file of credentials, which no log shows" => token,
    "hosts (NATS): credentials that cannot be used are a configuration error that shows none of it"
        => refused,
}

/// What the user of a host may do.
fn permissions() -> Value {
    json!({
        "publish": ["websocket-topics.>", "$JS.API.>"],
        "subscribe": "websocket-topics.>",
    })
}

/// A file for httpd or NATS in a folder.
fn write(folder: &TempDir, name: &str, content: &str) -> Result<String> {
    let path = folder.path().join(name);
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

/// Starts NATS with this configuration. A host with the right file publishes, one with the wrong
/// file is told why it does not.
fn check(context: &Context, kind: Kind, config: &str, right: &str, wrong: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = write(&folder, "nats.conf", config)?;
    let Some(broker) = broker(kind, &["--config", &config])? else {
        return Ok(());
    };
    let start = |name, content: &str| {
        let file = write(&folder, name, content)?;
        host(
            context,
            &format!("{} file:{file}", broker.address()),
            "LogLevel debug",
        )
    };
    let hosts = [start("right", right)?, start("right", right)?];
    let mut client = listener(&hosts[1], "sub a")?;
    settle(&[&hosts[1]])?;
    publish(&mut open(&hosts[0])?, "a", "hello")?;
    client.expect_text("hello")?;
    let stranger = start("wrong", wrong)?;
    let mut client = open(&stranger)?;
    wait_until("nobody can publish", || {
        Ok(ask(&mut client, "pub a x")?.contains("error log says why"))
    })?;
    let line = stranger.wait_for_log("cannot be reached, publishing is refused", PATIENCE)?;
    ensure!(
        line.to_lowercase().contains("authorization violation"),
        "{line}"
    );
    for httpd in hosts.iter().chain([&stranger]) {
        let log = httpd.error_log()?;
        let words = [right, wrong].into_iter().flat_map(str::split_whitespace);
        // The seeds and tokens; other words of the files are short.
        let mut secrets = words.filter(|word| word.len() > 40 && !word.contains("---"));
        ensure!(secrets.all(|secret| !log.contains(secret)), "{log}");
    }
    Ok(())
}

fn nkey(context: &Context) -> Result<()> {
    let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
    let users = json!([{"nkey": known.public_key(), "permissions": permissions()}]);
    let config = json!({"authorization": {"users": users}}).to_string();
    check(
        context,
        Kind::Nats,
        &config,
        &known.seed()?,
        &format!("{}\n", unknown.seed()?),
    )
}

/// A token (JWT) of NATS: what `issuer` says of `subject`.
fn issue(issuer: &KeyPair, subject: &KeyPair, content: &Value) -> Result<String> {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({
        "jti": "1",
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": "test",
        "nats": content,
    });
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

/// A new user of an account, as a file of credentials.
fn user_of(account: &KeyPair) -> Result<String> {
    let user = KeyPair::new_user();
    let rights = permissions();
    let allow = |what: &Value| json!({"allow": what});
    let list = json!([rights["subscribe"]]);
    let content = json!({
        "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
        "pub": allow(&rights["publish"]), "sub": allow(&list),
    });
    let token = issue(account, &user, &content)?;
    let seed = user.seed()?;
    Ok(format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    ))
}

fn token(context: &Context) -> Result<()> {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let content = json!({"type": "operator", "version": 2});
    let of_operator = issue(&operator, &operator, &content)?;
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let content = json!({"type": "account", "version": 2, "limits": limits});
    let of_account = issue(&operator, &account, &content)?;
    let name = account.public_key();
    let config = format!(
        "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {name}: {of_account} }}\n"
    );
    // Of an account that the server does not know.
    let stranger = user_of(&KeyPair::new_account())?;
    check(
        context,
        Kind::LiveNats,
        &config,
        &user_of(&account)?,
        &stranger,
    )
}

fn refused(context: &Context) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let seed = KeyPair::new_user().seed()?;
    let of_account = KeyPair::new_account().seed()?;
    let file = |seed: &str| {
        user_of(&KeyPair::new_account()).map(|file| {
            let (begin, _) = file.split_once("NKEY SEED-----\n").expect("it has a seed");
            format!("{begin}NKEY SEED-----\n{seed}\n")
        })
    };
    for (address, content, message) in [
        (
            "redis://localhost",
            file(&seed)?,
            "it is for NATS, and the broker is Redis",
        ),
        (
            "nats://localhost",
            file(&of_account)?,
            "is not that of a user's nkey",
        ),
        (
            "nats://localhost",
            file("")?,
            "it must contain one line, user:password",
        ),
        (
            "nats://localhost",
            format!("{seed}\n{seed}"),
            "it must contain one line, user:password",
        ),
    ] {
        let file = write(&folder, "credentials", &content)?;
        let config = format!("WebSocketTopicBroker {address} file:{file}");
        let checked = root(context, &config)?.check_config()?;
        let is_explained = !checked.ok && checked.message.contains(message);
        ensure!(is_explained, "{message}: {}", checked.message);
        let mut secrets = content.split_whitespace().filter(|word| word.len() > 40);
        ensure!(
            secrets.all(|secret| !checked.message.contains(secret)),
            "{}",
            checked.message
        );
    }
    Ok(())
}
