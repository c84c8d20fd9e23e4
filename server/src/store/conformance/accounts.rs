//! Accounts and keys.

use std::sync::Arc;

use super::bed::{Bed, at};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus, Weight};
use crate::store::Store;

fn key(id: &str, account: AccountId) -> AccessKey {
    AccessKey {
        id: id.to_owned(),
        account,
        sealed_secret: vec![0, 255, 7],
        status: KeyStatus::Enabled,
        created: at(1),
    }
}

pub(super) async fn an_account_name_is_taken_once(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    assert_eq!(bed.store.account_create("first", false, at(5)).await.unwrap(), None);
    assert_eq!(
        bed.store.account_create("First", false, at(5)).await.unwrap().unwrap().name,
        "First"
    );
    let accounts = bed.store.account_list().await.unwrap();
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "First"]);
    assert_eq!((accounts[2].enabled, accounts[2].created), (true, at(5)));
    let operators: Vec<bool> = accounts.iter().map(|account| account.operator).collect();
    assert_eq!(operators, [true, false, false]);
}

pub(super) async fn a_key_belongs_to_an_existing_account_and_its_id_is_taken_once(
    store: Arc<dyn Store>,
) {
    let bed = Bed::new(store).await;
    let store = &bed.store;
    assert!(!store.key_create(key("K0", AccountId(999))).await.unwrap());
    assert!(store.key_create(key("K1", bed.account)).await.unwrap());
    assert!(store.key_create(key("K2", bed.other)).await.unwrap());
    assert!(!store.key_create(key("K1", bed.other)).await.unwrap());
    assert!(store.key_create(key("A3", bed.account)).await.unwrap());

    let (found, account) = store.key_find("K1").await.unwrap().unwrap();
    assert_eq!((found, account.id), (key("K1", bed.account), bed.account));
    assert!(account.operator);
    assert!(store.key_find("K0").await.unwrap().is_none());
    assert!(store.key_find("k1").await.unwrap().is_none());

    let ids = |keys: Vec<AccessKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(store.key_list(None).await.unwrap()), ["K1", "K2", "A3"]);
    assert_eq!(ids(store.key_list(Some(bed.account)).await.unwrap()), ["K1", "A3"]);
    assert_eq!(ids(store.key_list(Some(AccountId(999))).await.unwrap()), [""; 0]);
}

pub(super) async fn disabling_is_seen_by_the_next_request(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let store = &bed.store;
    store.key_create(key("K1", bed.account)).await.unwrap();
    assert!(store.key_set_status("K1", Some(KeyStatus::Disabled)).await.unwrap());
    assert!(!change(store, "first", AccountChange::enabled(false)).await.unwrap().enabled);
    let (found, account) = store.key_find("K1").await.unwrap().unwrap();
    assert_eq!((found.status, account.enabled), (KeyStatus::Disabled, false));
    assert!(store.key_set_status("K1", Some(KeyStatus::Enabled)).await.unwrap());
    assert!(change(store, "first", AccountChange::enabled(true)).await.unwrap().enabled);
    let (found, account) = store.key_find("K1").await.unwrap().unwrap();
    assert_eq!((found.status, account.enabled), (KeyStatus::Enabled, true));
    assert!(store.key_set_status("K1", None).await.unwrap());
    assert!(store.key_find("K1").await.unwrap().is_none());
    assert!(!store.key_set_status("K1", None).await.unwrap());
    assert_eq!(change(store, "nobody", AccountChange::enabled(false)).await, None);
}

async fn change(store: &Arc<dyn Store>, name: &str, change: AccountChange) -> Option<Account> {
    store.account_change(name, change).await.unwrap()
}

pub(super) async fn a_change_of_an_account_leaves_the_rest_of_it(store: Arc<dyn Store>) {
    let bed = Bed::new(store).await;
    let store = &bed.store;
    store.key_create(key("K1", bed.account)).await.unwrap();
    let (_, before) = store.key_find("K1").await.unwrap().unwrap();
    assert_eq!((before.weight, before.paused), (Weight::default(), false));
    let weight = Weight::new(7).unwrap();
    let heavy = change(store, "first", AccountChange::weight(weight)).await.unwrap();
    assert_eq!(heavy, Account { weight, ..before.clone() });
    let paused = change(store, "first", AccountChange::paused(true)).await.unwrap();
    assert_eq!(paused, Account { weight, paused: true, ..before.clone() });
    let same = change(store, "first", AccountChange::default()).await.unwrap();
    assert_eq!((&same, &store.account_list().await.unwrap()[0]), (&paused, &paused));
    assert_eq!(store.key_find("K1").await.unwrap().unwrap().1, paused);
    let all = AccountChange {
        enabled: Some(false),
        weight: Some(Weight::default()),
        paused: Some(false),
    };
    assert_eq!(change(store, "first", all).await, Some(Account { enabled: false, ..before }));
    assert!(!store.account_list().await.unwrap()[1].paused, "another account is as it was");
}
