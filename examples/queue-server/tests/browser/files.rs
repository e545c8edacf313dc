//! How the page is served.

use fantoccini::Locator;
use reqwest::Method;

use crate::{
    page::Page,
    support::{server::Running, until},
};

#[tokio::test]
async fn the_page_and_its_files_say_what_they_are_and_forbid_what_they_do_not_need() {
    let server = Running::start(&[]).await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/follow.js", "text/javascript"),
    ] {
        let get = server.client().request(Method::GET, path).send().await.unwrap();
        let head = server.client().request(Method::HEAD, path).send().await.unwrap();
        for response in [&get, &head] {
            assert_eq!(response.status(), 200, "{path}");
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), format!("{kind}; charset=utf-8"));
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("cache-control"), "no-cache");
            let policy = header("content-security-policy");
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.split(';').any(|part| part.trim() == rule), "{rule} in {policy}");
            }
        }
        assert!(head.headers()["content-length"] != "0");
        assert_eq!(head.text().await.unwrap(), "");
        let text = get.text().await.unwrap();
        assert!(!text.is_empty() && !text.contains("://"), "{path} refers to nothing elsewhere");
    }
}

/// So that "no complaints" elsewhere means something.
#[tokio::test]
async fn a_broken_rule_would_be_seen_and_markup_is_refused() {
    let page = Page::open(&[]).await;
    let script = "const image = new Image(); image.src = 'http://127.0.0.1:1/elsewhere'; document.body.append(image);";
    page.tab.execute(script, Vec::new()).await.unwrap();
    until("the browser complains", async || {
        let complaints = page.browser.complaints().await;
        complaints
            .iter()
            .any(|entry| entry["message"].as_str().unwrap().contains("Content Security Policy"))
    })
    .await;
    page.tab.execute("document.body.innerHTML = '<p>markup</p>'", Vec::new()).await.unwrap_err();
    page.tab.find(Locator::Css("#events")).await.expect("what was there is there");
    assert!(page.browser.asked_for().await.iter().any(|url| url.ends_with("/page.js")));
}
