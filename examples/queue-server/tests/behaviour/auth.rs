//! Who is let in.

use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, spki::der::pem::LineEnding},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use queue_server::auth::Key;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    answer::Answer,
    stage::{SECRET, Stage},
    world::{World, answer},
};

/// More than the minute that clocks may differ.
const LONG: u64 = 3600;

fn claims(more: &Value) -> Value {
    let mut claims = json!({"sub": "somebody", "exp": get_current_timestamp() + LONG});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("one").retain(|_, value| !value.is_null());
    claims
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).expect("a token")
}

fn hs256(more: &Value) -> String {
    sign(Algorithm::HS256, &EncodingKey::from_secret(SECRET), &claims(more))
}

async fn register(world: &World, token: &str) -> Answer {
    world.call("POST", "/api/v1/register", token, "").await
}

#[track_caller]
fn unauthorized(answer: &Answer) {
    answer.refused(401, "UNAUTHORIZED");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_token_is_needed_on_each_endpoint_but_health_and_metrics() {
    let world = Stage::Embedded.start().await;
    for (method, path) in [
        ("POST", "/api/v1/register"),
        ("GET", "/api/v1/events"),
        ("DELETE", "/api/v1/events"),
        ("POST", "/api/v1/send"),
    ] {
        unauthorized(&answer(world.request(method, path)).await);
    }
    for path in ["/healthz", "/metrics"] {
        assert_eq!(answer(world.request("GET", path)).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_comes_once_and_as_a_bearer_token() {
    let world = Stage::Embedded.start().await;
    let token = hs256(&json!({}));
    let with = |value: &str| {
        answer(world.request("POST", "/api/v1/register").header("authorization", value))
    };
    for right in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER {token}")] {
        with(&right).await.ok();
    }
    for wrong in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        format!("Bearer\t{token}"),
        format!("Token {token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token} x"),
        format!("Bearer \"{token}\""),
    ] {
        unauthorized(&with(&wrong).await);
    }
    let value = reqwest::header::HeaderValue::from_bytes(b"Bearer \xff\xfe").expect("a value");
    let request = world.request("POST", "/api/v1/register").header("authorization", value);
    unauthorized(&answer(request).await);
    let twice = world.request("POST", "/api/v1/register").bearer_auth(&token).bearer_auth(&token);
    unauthorized(&answer(twice).await);
    let in_the_query = world.request("POST", &format!("/api/v1/register?access_token={token}"));
    unauthorized(&answer(in_the_query).await);
}

#[tokio::test]
async fn a_token_is_valid_in_its_time() {
    let world = Stage::Embedded.start().await;
    let now = get_current_timestamp();
    register(&world, &hs256(&json!({"nbf": now - LONG}))).await.ok();
    for wrong in [
        json!({"exp": now - LONG}),
        json!({"exp": 0}),
        json!({"exp": -1}),
        json!({"exp": null}),
        json!({"exp": (now + LONG).to_string()}),
        json!({"nbf": now + LONG}),
    ] {
        unauthorized(&register(&world, &hs256(&wrong)).await);
    }
}

#[tokio::test]
async fn a_user_has_a_name_and_not_a_huge_one() {
    let world = Stage::Embedded.start().await;
    register(&world, &hs256(&json!({"sub": "u".repeat(256)}))).await.ok();
    for wrong in [
        json!(""),
        json!(null),
        json!(1),
        json!(["u"]),
        json!("u".repeat(257)),
        json!("u".repeat(4000)),
    ] {
        unauthorized(&register(&world, &hs256(&json!({"sub": wrong}))).await);
    }
}

#[tokio::test]
async fn a_token_is_signed_by_the_key_and_its_algorithm_alone() {
    let world = Stage::Embedded.start().await;
    let claims = claims(&json!({"role": "service"}));
    let secret = EncodingKey::from_secret(SECRET);
    let right = sign(Algorithm::HS256, &secret, &claims);
    register(&world, &right).await.ok();

    let parts: Vec<_> = right.split('.').collect();
    let [head, payload, signature] = parts[..] else { panic!("not three parts") };
    let encoded = |json: &Value| {
        let unsigned = sign(Algorithm::HS256, &secret, json);
        unsigned.split('.').nth(1).expect("a payload").to_owned()
    };
    let none = encoded(&json!({"alg": "none", "typ": "JWT"}));
    let rs256 = encoded(&json!({"alg": "RS256", "typ": "JWT"}));
    let other = encoded(&json!({"sub": "admin", "exp": get_current_timestamp() + LONG}));
    let other_key = EncodingKey::from_secret(b"another secret of thirty-two bytes and more");
    for wrong in [
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{none}.{payload}"),
        format!("{rs256}.{payload}.{signature}"),
        format!("{head}.{other}.{signature}"),
        format!("{head}.{payload}."),
        format!("{head}.{payload}"),
        format!("{head}..{signature}"),
        format!("{head}.{payload}.{}", signature.to_lowercase()),
        format!("{head}.{payload}.{signature}="),
        format!("{head}.{payload}.{signature}.{signature}"),
        "..".to_owned(),
        "x".repeat(20_000),
        sign(Algorithm::HS384, &secret, &claims),
        sign(Algorithm::HS512, &secret, &claims),
        sign(Algorithm::HS256, &other_key, &claims),
        sign(Algorithm::HS256, &EncodingKey::from_secret(b""), &claims),
    ] {
        unauthorized(&register(&world, &wrong).await);
        unauthorized(&world.call("POST", "/api/v1/send", &wrong, "").await);
    }
}

#[tokio::test]
async fn a_token_by_an_ed25519_key_is_checked_by_its_public_key() {
    let bytes = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let private = SigningKey::from_bytes(&bytes.try_into().expect("32 bytes"));
    let pem = private.to_pkcs8_pem(LineEnding::LF).expect("a key");
    let public = private.verifying_key().to_public_key_pem(LineEnding::LF).expect("a key");
    let world = Stage::Embedded.start_with(|setup| {
        setup.key = Key::ed25519(public.as_bytes()).expect("a public key");
    });
    let world = world.await;
    let signs = EncodingKey::from_ed_pem(pem.as_bytes()).expect("a private key");
    let claims = claims(&json!({"role": "service"}));
    register(&world, &sign(Algorithm::EdDSA, &signs, &claims)).await.ok();
    let body = r#"{"users":["u"],"event":{"type":"t"}}"#;
    let token = sign(Algorithm::EdDSA, &signs, &claims);
    world.call("POST", "/api/v1/send", &token, body).await.ok();

    // A public key is known to everybody: it must not be taken for a secret.
    for known in [public.as_bytes(), public.trim().as_bytes(), private.verifying_key().as_bytes()] {
        let forged = sign(Algorithm::HS256, &EncodingKey::from_secret(known), &claims);
        unauthorized(&register(&world, &forged).await);
    }
    unauthorized(
        &register(&world, &sign(Algorithm::HS256, &EncodingKey::from_secret(SECRET), &claims))
            .await,
    );
    let other = SigningKey::from_bytes(&[7; 32]).to_pkcs8_pem(LineEnding::LF).expect("a key");
    let other = EncodingKey::from_ed_pem(other.as_bytes()).expect("a private key");
    unauthorized(&register(&world, &sign(Algorithm::EdDSA, &other, &claims)).await);
    let parts: Vec<_> = token.split('.').collect();
    unauthorized(&register(&world, &format!("{}.{}.", parts[0], parts[1])).await);
}

#[tokio::test]
async fn only_the_role_of_a_service_may_send() {
    let world = Stage::Embedded.start().await;
    let body = r#"{"users":["u"],"event":{"type":"t"}}"#;
    for role in [json!(null), json!("Service"), json!(""), json!("admin"), json!("service ")] {
        let token = hs256(&json!({"role": role}));
        world.call("POST", "/api/v1/send", &token, body).await.refused(403, "FORBIDDEN");
    }
    for role in [json!(true), json!(["service"])] {
        let token = hs256(&json!({"role": role}));
        let answer = world.call("POST", "/api/v1/send", &token, body).await;
        assert!([401, 403].contains(&answer.status), "{answer:?}");
    }
    let token = hs256(&json!({"role": "service"}));
    world.call("POST", "/api/v1/send", &token, body).await.ok();
}

#[tokio::test]
async fn an_error_repeats_nothing_of_a_token() {
    let world = Stage::Embedded.start().await;
    let secret = "MARKER-of-a-token";
    for token in
        [secret.to_owned(), format!("{secret}.{secret}.{secret}"), hs256(&json!({"exp": secret}))]
    {
        let answer = register(&world, &token).await;
        unauthorized(&answer);
        assert!(!answer.text.contains(secret), "{answer:?}");
    }
}
