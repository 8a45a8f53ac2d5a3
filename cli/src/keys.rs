//! `fincore keys`: API keys of merchants.

use std::process::ExitCode;
use std::sync::Arc;

use api::KeyMode;
use secrecy::ExposeSecret;
use workflow::ids::MerchantId;
use workflow::port::clock::{Clock, Random, SystemClock, SystemRandom};
use workflow::port::store::Store;

use crate::app::{self, Schema};
use crate::args::Keys;
use crate::settings::{Knobs, Settings};

/// Runs one of the key commands.
pub(crate) async fn run(knobs: &Knobs, keys: &Keys) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    match keys {
        Keys::Create { merchant, live } => {
            let merchant = merchant.unwrap_or_else(|| new_merchant(&SystemClock));
            let (secret, key) = create(&store, merchant, if *live { KeyMode::Live } else { KeyMode::Test }).await?;
            println!("merchant  {merchant}\nkey       {}\nsecret    {}", key, secret.expose_secret());
            eprintln!("\nThe secret is shown only now. Clients send it as `Authorization: Bearer …`.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A merchant nobody has used yet.
pub(crate) fn new_merchant(clock: &dyn Clock) -> MerchantId {
    MerchantId::new(clock.now(), [SystemRandom.next(), SystemRandom.next()])
}

/// Creates and stores a key; returns its secret and its name.
pub(crate) async fn create(
    store: &Arc<dyn Store>,
    merchant: MerchantId,
    mode: KeyMode,
) -> anyhow::Result<(secrecy::SecretString, workflow::ids::ApiKeyId)> {
    let now = SystemClock.now();
    let id = workflow::ids::ApiKeyId::new(now, [SystemRandom.next(), SystemRandom.next()]);
    let (secret, key) = api::new_api_key(rand::random(), mode, id, merchant, now);
    store.add_api_key(&key).await?;
    Ok((secret, id))
}
