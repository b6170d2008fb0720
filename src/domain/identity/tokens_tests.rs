//! What is refused as an access token.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::domain::identity::keys::tests::key;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
}

fn tokens() -> AccessTokens {
    AccessTokens::new("https://demo.test", MAX_LIFE)
}

struct Issued {
    key: Key,
    token: String,
    user: UserId,
    session: SessionId,
}

fn issued() -> Issued {
    let key = key(now() - Duration::days(1));
    let (user, session) = (UserId::new(now()), SessionId::new(now()));
    let (token, _) = tokens().issue(&key, user, session, now()).expect("signs");
    Issued { key, token: token.expose_secret().to_owned(), user, session }
}

/// The token with other claims or another header, signed by the same key.
fn signed(key: &Key, header: Value, claims: Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(&claims));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), key.signer().expect("signs"), Algorithm::EdDSA).expect("signs");
    format!("{message}.{signature}")
}

fn parts(token: &str) -> (Value, Value) {
    let read =
        |part: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON");
    let mut parts = token.split('.');
    (read(parts.next().expect("a header")), read(parts.next().expect("claims")))
}

#[test]
fn a_token_says_who_and_by_which_session_and_no_more() {
    let Issued { key, token, user, session } = issued();
    let verified = tokens().verify(&token, &key, now()).expect("good");
    assert_eq!(verified, Verified { user, session, expires_at: now() + MAX_LIFE });
    let (header, claims) = parts(&token);
    assert_eq!(header, json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": key.kid }));
    let names: Vec<_> = claims.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "sid", "sub"]);
    assert_eq!(claims["sub"], user.to_string());
}

#[test]
fn a_token_ends_by_the_clock_of_the_request() {
    let Issued { key, token, .. } = issued();
    let at = |by: Duration| tokens().verify(&token, &key, now() + by);
    assert!(at(MAX_LIFE).is_ok(), "clocks differ a little");
    assert_eq!(at(MAX_LIFE + LEEWAY), Err(TokenError::Expired));
    assert_eq!(at(Duration::days(400)), Err(TokenError::Expired));
    assert_eq!(at(-Duration::minutes(1)), Err(TokenError::Malformed), "from the future");
}

#[test]
fn a_token_of_another_kind_is_refused() {
    let Issued { key, token, .. } = issued();
    let (header, claims) = parts(&token);
    assert!(tokens().verify(&signed(&key, header.clone(), claims.clone()), &key, now()).is_ok(), "control");
    let with = |mut value: Value, name: &str, to: Value| {
        value[name] = to;
        value
    };
    for (what, header, claims) in [
        ("audience", header.clone(), with(claims.clone(), "aud", json!("another-api"))),
        ("audiences", header.clone(), with(claims.clone(), "aud", json!(["another-api", AUDIENCE]))),
        ("no audience", header.clone(), with(claims.clone(), "aud", Value::Null)),
        ("issuer", header.clone(), with(claims.clone(), "iss", json!("https://other.test"))),
        ("subject", header.clone(), with(claims.clone(), "sub", json!("tsk_01h455vb4pex5vsknk084sn02q"))),
        ("no session", header.clone(), with(claims.clone(), "sid", Value::Null)),
        ("no end", header.clone(), with(claims.clone(), "exp", Value::Null)),
        ("a long life", header.clone(), with(claims.clone(), "exp", json!(now().timestamp() + 901))),
        ("a far end", header.clone(), with(claims.clone(), "exp", json!(i64::MAX))),
        ("type", with(header.clone(), "typ", json!("JWT")), claims.clone()),
        ("no type", with(header.clone(), "typ", Value::Null), claims.clone()),
        ("crit", with(header.clone(), "crit", json!(["exp"])), claims.clone()),
        ("key id", with(header.clone(), "kid", json!("another")), claims.clone()),
        ("no key id", with(header.clone(), "kid", Value::Null), claims.clone()),
    ] {
        let token = signed(&key, header, claims);
        assert_eq!(tokens().verify(&token, &key, now()), Err(TokenError::Malformed), "{what}");
    }
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    let Issued { key, token, .. } = issued();
    let (header, claims) = parts(&token);
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "HS256", "ES256", "RS256"] {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        let message = format!("{}.{}", part(&header), part(&claims));
        let ours = token.rsplit('.').next().expect("a signature");
        for signature in ["", ours] {
            let forged = format!("{message}.{signature}");
            assert_eq!(tokens().verify(&forged, &key, now()), Err(TokenError::Malformed), "{alg}");
        }
    }
    // The public half as a secret of HMAC, the classic of its kind.
    let secret = EncodingKey::from_secret(&BASE64_URL_SAFE_NO_PAD.decode(key.public_x()).expect("base64"));
    let mut hmac = Header::new(Algorithm::HS256);
    hmac.typ = Some(TYPE.to_owned());
    hmac.kid = Some(key.kid.clone());
    let forged = jsonwebtoken::encode(&hmac, &claims, &secret).expect("signs");
    assert_eq!(tokens().verify(&forged, &key, now()), Err(TokenError::Malformed));
}

#[test]
fn another_key_signs_for_nobody() {
    let Issued { key: one, token, .. } = issued();
    let (header, claims) = parts(&token);
    let other = key(now() - Duration::days(1));
    let forged = signed(&other, header, claims);
    assert_eq!(tokens().verify(&forged, &one, now()), Err(TokenError::Malformed));
}

#[test]
fn a_retired_key_verifies_nothing() {
    let old = key(now() - Duration::days(91));
    let (token, _) = tokens().issue(&old, UserId::new(now()), SessionId::new(now()), now()).expect("signs");
    assert_eq!(tokens().verify(token.expose_secret(), &old, now()), Err(TokenError::Expired));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_changed_character_is_refused(at: prop::sample::Index, with in "[A-Za-z0-9_.-]") {
        let Issued { key, token, .. } = issued();
        let mut changed: Vec<char> = token.chars().collect();
        let at = at.index(changed.len());
        changed[at] = with.chars().next().expect("one character");
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(tokens().verify(&changed, &key, now()).is_err(), changed != token);
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in ".{0,80}") {
        let key = key(now());
        prop_assert_eq!(tokens().verify(&text, &key, now()), Err(TokenError::Malformed));
    }
}
