//! `fincore keys`: API keys of merchants. A secret is printed when it is made, and never again.
//!
//! Not here: what a key opens (`api::auth`).

mod list;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use secrecy::{ExposeSecret, SecretString};
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::clock::{Clock, Random, SystemClock, SystemRandom};
use workflow::port::store::{ApiKey, Mode, Rotation, Scopes, Store};

use crate::app::{self, Schema};
use crate::args::keys::{CreateKey, Keys, RevokeKey, RotateKey};
use crate::settings::{Knobs, Settings};

const SHOWN_ONCE: &str = "The secret is shown only now. Clients send it as `Authorization: Bearer …`.";

/// Runs one of the key commands.
pub(crate) async fn run(knobs: &Knobs, keys: &Keys) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    match keys {
        Keys::Create(asked) => create_as_asked(&store, asked).await?,
        Keys::List(asked) => list::run(&store, asked).await?,
        Keys::Revoke(asked) => revoke(&store, asked).await?,
        Keys::Rotate(asked) => rotate(&store, asked).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create_as_asked(store: &Arc<dyn Store>, asked: &CreateKey) -> anyhow::Result<()> {
    let merchant = asked.merchant.unwrap_or_else(|| new_merchant(&SystemClock));
    let known = store.merchant_mode(merchant).await?;
    if asked.live && known == Some(Mode::Test) {
        bail!("{merchant} is a test merchant and has no live keys: make a live one with `keys create --live` alone");
    }
    let mode = known.unwrap_or(if asked.live { Mode::Live } else { Mode::Test });
    let scopes =
        if asked.scopes.is_empty() { Scopes::usual() } else { asked.scopes.iter().copied().collect::<Scopes>() };
    let (secret, key) = new_key(merchant, mode);
    let key = ApiKey { name: asked.name.clone(), scopes, ..key };
    store.add_api_key(&key).await?;
    print_new(&key, &secret);
    eprintln!("\n{SHOWN_ONCE}");
    Ok(())
}

fn print_new(key: &ApiKey, secret: &SecretString) {
    let ApiKey { id, merchant_id, mode, scopes, .. } = key;
    println!("merchant  {merchant_id}");
    println!("mode      {mode}");
    println!("key       {id}");
    println!("scopes    {scopes}");
    println!("secret    {}", secret.expose_secret());
}

async fn revoke(store: &Arc<dyn Store>, asked: &RevokeKey) -> anyhow::Result<()> {
    let Some(key) = store.revoke_api_key(asked.key, SystemClock.now()).await? else {
        bail!("there is no key {}: see `fincore keys list --revoked`", asked.key);
    };
    let since = key.revoked_at.map(|at| format!(" since {at:.0}")).unwrap_or_default();
    println!("{} is revoked{since}. Within five seconds no process takes it any more.", key.id);
    Ok(())
}

async fn rotate(store: &Arc<dyn Store>, asked: &RotateKey) -> anyhow::Result<()> {
    let Some(old) = find(store, asked.key).await? else {
        bail!("there is no key {}: see `fincore keys list --revoked`", asked.key);
    };
    let now = SystemClock.now();
    let old_until = now.checked_add(asked.overlap)?;
    let (secret, key) = new_key(old.merchant_id, old.mode);
    let rotation =
        Rotation { old: old.id, old_until, new: key.id, secret_hash: key.secret_hash, created_at: key.created_at };
    let Some(key) = store.rotate_api_key(rotation).await? else {
        bail!("{} is revoked or replaced already: create a key, or rotate the one that replaced it", old.id);
    };
    print_new(&key, &secret);
    eprintln!(
        "\n{SHOWN_ONCE}\nThe old key {} opens the API until {old_until:.0}; `keys revoke` ends that sooner.",
        old.id
    );
    Ok(())
}

async fn find(store: &Arc<dyn Store>, id: ApiKeyId) -> anyhow::Result<Option<ApiKey>> {
    let mut after = None;
    loop {
        let page = store.api_keys(None, after, list::PAGE).await?;
        let Some(last) = page.last().map(|key| key.id) else { return Ok(None) };
        if let Some(key) = page.into_iter().find(|key| key.id == id) {
            return Ok(Some(key));
        }
        after = Some(last);
    }
}

/// A merchant nobody has used yet.
pub(crate) fn new_merchant(clock: &dyn Clock) -> MerchantId {
    MerchantId::new(clock.now(), [SystemRandom.next(), SystemRandom.next()])
}

fn new_key(merchant: MerchantId, mode: Mode) -> (SecretString, ApiKey) {
    let now = SystemClock.now();
    let id = ApiKeyId::new(now, [SystemRandom.next(), SystemRandom.next()]);
    api::new_api_key(rand::random(), mode, id, merchant, now)
}

/// Creates and stores a test key with the usual scopes; returns its secret.
pub(crate) async fn create(store: &Arc<dyn Store>, merchant: MerchantId) -> anyhow::Result<SecretString> {
    let (secret, key) = new_key(merchant, Mode::Test);
    store.add_api_key(&key).await?;
    Ok(secret)
}
