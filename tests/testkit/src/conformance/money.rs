//! Amounts: what is written is what is meant, in currencies whose decimals the PSP counts otherwise, too.

use workflow::money::{Currency, Money};
use workflow::port::gateway::{Operation, Outcome, Standing};

use super::candidate::Candidate;
use super::report::Report;
use crate::dialect::{Fact, Stands};

/// Currencies with none, two, three and four decimals, and those that PSPs are known to count otherwise.
const CURRENCIES: &[&str] =
    &["eur", "usd", "jpy", "krw", "kwd", "bhd", "tnd", "isk", "ugx", "mga", "clp", "cve", "idr", "huf", "twd", "clf"];
/// Amounts that end in one, in tens and in hundreds, small and large.
const AMOUNTS: &[i64] = &[1, 5, 10, 99, 100, 1_234, 1_230, 120_000, 999_999_999_999];

fn all() -> impl Iterator<Item = Money> {
    let currencies = CURRENCIES.iter().map(|code| code.parse::<Currency>().expect("a currency"));
    currencies.flat_map(|currency| AMOUNTS.iter().map(move |&amount_minor| Money { amount_minor, currency }))
}

pub(super) fn check(candidate: &Candidate, report: &mut Report) {
    let dialect = candidate.dialect();
    let gateway = candidate.gateway();

    let fix = "refuse in supports() what the PSP counts otherwise than ISO 4217, and say what would do";
    report.check("an amount that the PSP cannot take exactly is not supported", fix, |cases| {
        for money in all().filter(|money| dialect.write_amount(*money).is_none()) {
            cases.expect(gateway.supports(money).is_err(), || format!("{money} is supported"));
        }
        let words = gateway.supports(Money { amount_minor: 1, currency: "kwd".parse().expect("a currency") });
        cases.expect(words.err().is_none_or(|words| !words.is_empty()), || "the refusal says nothing".to_owned());
    });

    let fix = "convert with the PSP's table of decimals when writing, and never by rounding";
    report.check("an amount is written in the PSP's units", fix, |cases| {
        for money in all().filter(|money| dialect.write_amount(*money).is_some() && gateway.supports(*money).is_ok()) {
            let fresh = candidate.payment(1, money);
            let known = if gateway.needs_registration(&fresh) { Operation::Register } else { Operation::Authorize };
            for operation in [known, Operation::Capture, Operation::Refund] {
                let asked = candidate.asked(operation, &candidate.due_for(operation, fresh.clone()));
                if asked.as_ref().is_ok_and(|asked| asked.otherwise.is_some()) {
                    // A call for "void, or give all back" has no amount.
                    continue;
                }
                let written = asked.ok().and_then(|asked| asked.amount_wire);
                let read = written.and_then(|wire| dialect.read_amount(wire, money.currency));
                cases.expect(read == Some(money), || {
                    format!("{operation} of {money} asks for {written:?}, which is {read:?}")
                });
            }
        }
    });

    let fix = "convert with the PSP's table of decimals when reading too";
    report.check("an amount is read from the PSP's units", fix, |cases| {
        for money in all().filter(|money| dialect.write_amount(*money).is_some() && gateway.supports(*money).is_ok()) {
            let payment = candidate.due_for(Operation::Authorize, candidate.payment(1, money));
            let account = candidate.account(&payment, Stands::Authorized);
            let fact = Fact::Done { account: &account, deed: "", money };
            let answer = candidate.told(Operation::Authorize, &payment, fact);
            let outcome = candidate.read(Operation::Authorize, &payment, &answer);
            let is_same =
                matches!(&outcome, Outcome::Approved(Standing::Authorized { money: read, .. }) if *read == money);
            cases.expect(is_same, || format!("{money} is read as {outcome:?}"));
        }
    });

    let fix = "report the amount that the PSP says, never the one that was asked for; the engine compares them";
    report.check("another amount than asked for is reported as it is", fix, |cases| {
        let money = Money { amount_minor: 1_200, currency: "eur".parse().expect("a currency") };
        let payment = candidate.due_for(Operation::Authorize, candidate.payment(1, money));
        for amount_minor in [1_199, 1_201, 1] {
            let mut account = candidate.account(&payment, Stands::Authorized);
            account.authorized_minor = amount_minor;
            let fact = Fact::Done { account: &account, deed: "", money };
            let answer = candidate.told(Operation::Authorize, &payment, fact);
            let outcome = candidate.read(Operation::Authorize, &payment, &answer);
            let is_told =
                matches!(&outcome, Outcome::Approved(Standing::Authorized { money, .. }) if money.amount_minor == amount_minor);
            cases.expect(is_told, || format!("{amount_minor} instead of 1200 is read as {outcome:?}"));
        }
    });
}
