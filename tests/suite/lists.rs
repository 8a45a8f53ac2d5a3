//! Lists as clients walk along them: in both directions, by filters, and while others add to them.

use std::time::Duration;

use fincore_tests::world::World;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use workflow::port::clock::Clock;

/// A page and the links to its neighbours.
struct Page {
    ids: Vec<String>,
    has_more: bool,
    next: Option<String>,
    prev: Option<String>,
}

async fn page(world: &World, path: &str) -> Page {
    let request = world.http.get(format!("http://{}{path}", world.api)).bearer_auth(world.secret.expose_secret());
    let response = request.send().await.unwrap();
    let links = response.headers().get("link").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let link = |rel: &str| {
        links.split(", ").find_map(|link| {
            let (url, its_rel) = link.split_once("; rel=")?;
            (its_rel.trim_matches('"') == rel).then(|| url.trim_matches(['<', '>']).to_owned())
        })
    };
    let (next, prev) = (link("next"), link("prev"));
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let body: Value = response.json().await.unwrap();
    let ids = body["data"].as_array().unwrap().iter().map(|charge| charge["id"].as_str().unwrap().to_owned()).collect();
    Page { ids, has_more: body["has_more"].as_bool().unwrap(), next, prev }
}

/// Charges of so many minor units each, a second apart; their ids, newest first.
async fn charges(world: &World, amounts: &[i64]) -> Vec<String> {
    let mut ids = Vec::new();
    for amount in amounts {
        let body = json!({
            "amount": amount, "currency": if amount % 2 == 0 { "eur" } else { "usd" },
            "payment_method": if amount % 3 == 0 { "pm_card_chargeDeclined" } else { "pm_card_visa" },
            "metadata": {"order no": format!("{}/1", amount % 4), "shop": "a&b"}
        });
        let (status, charge) = world.post("/v1/charges", &format!("key {amount}"), &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{charge}");
        ids.insert(0, charge["id"].as_str().unwrap().to_owned());
        world.clock.skip(Duration::from_secs(1));
    }
    ids
}

crate::on_each_store! {
    async fn links_lead_forth_and_back_again(world: World) {
        let ids = charges(&world, &[1, 2, 3, 4, 5]).await;
        let first = page(&world, "/v1/charges?limit=2").await;
        assert_eq!((&first.ids[..], first.has_more, &first.prev), (&ids[..2], true, &None));
        let second = page(&world, &first.next.unwrap()).await;
        assert_eq!((&second.ids[..], second.has_more), (&ids[2..4], true));
        let last = page(&world, &second.next.unwrap()).await;
        assert_eq!((&last.ids[..], last.has_more, &last.next), (&ids[4..], false, &None));
        let back = page(&world, &last.prev.unwrap()).await;
        assert_eq!((&back.ids[..], back.has_more), (&ids[2..4], true), "the neighbours of the cursor, newest first");
        let begin = page(&world, &back.prev.unwrap()).await;
        assert_eq!((&begin.ids[..], begin.has_more, &begin.prev), (&ids[..2], false, &None));
        assert_eq!(page(&world, &begin.next.unwrap()).await.ids, ids[2..4]);
        world.work_patiently().await;
    }

    async fn what_is_added_meanwhile_moves_no_page(world: World) {
        let ids = charges(&world, &[1, 2, 3, 4]).await;
        let first = page(&world, "/v1/charges?limit=2").await;
        let added = charges(&world, &[5, 6, 7]).await;
        let second = page(&world, &first.next.unwrap()).await;
        assert_eq!((&second.ids[..], second.has_more), (&ids[2..], false));
        let newer = page(&world, &format!("/v1/charges?ending_before={}", first.ids[0])).await;
        assert_eq!(newer.ids, added);
        world.work_patiently().await;
    }

    async fn filters_find_what_they_say_and_go_along_with_the_links(world: World) {
        let began = world.clock.now();
        let ids = charges(&world, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
        world.work_patiently().await;
        let of = |amounts: &[usize]| amounts.iter().map(|amount| ids[8 - amount].clone()).collect::<Vec<_>>();
        let at = |seconds: u64| (began + Duration::from_secs(seconds)).to_string().replace(':', "%3A");
        let reference = world.payment(ids[0].parse().unwrap()).await.psp_reference.unwrap();
        for (query, expected) in [
            ("status=failed".to_owned(), of(&[6, 3])),
            ("status=in_review".to_owned(), of(&[])),
            ("currency=USD&status=succeeded".to_owned(), of(&[7, 5, 1])),
            ("amount=4".to_owned(), of(&[4])),
            ("amount[gte]=3&amount[lt]=5".to_owned(), of(&[4, 3])),
            (format!("created[gte]={}&created[lt]={}", at(2), at(4)), of(&[4, 3])),
            (format!("created[gt]={}&created[lte]={}", at(2), at(4)), of(&[5, 4])),
            ("metadata[order%20no]=3%2F1".to_owned(), of(&[7, 3])),
            ("metadata[order%20no]=3%2F1&metadata[shop]=a%26b&status=failed".to_owned(), of(&[3])),
            ("metadata[shop]=b".to_owned(), of(&[])),
            (format!("psp_reference={reference}"), of(&[8])),
            ("psp_reference=pi_unknown".to_owned(), of(&[])),
        ] {
            assert_eq!(page(&world, &format!("/v1/charges?{query}")).await.ids, expected, "{query}");
            // One by one, by the links alone.
            let (mut path, mut walked) = (Some(format!("/v1/charges?limit=1&{query}")), Vec::new());
            while let Some(next) = path {
                let page = page(&world, &next).await;
                walked.extend(page.ids);
                path = page.next;
            }
            assert_eq!(walked, expected, "{query}");
        }
        world.finish().await;
    }
}
