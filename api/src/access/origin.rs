//! Writes come from a page of ours, from one that is listed, or from no page at all.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};

use crate::problem::Problem;

/// What every browser of these years says of a request, and no page can change.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a write that a page of another site makes.
pub(super) fn check(headers: &HeaderMap, listed: &[String]) -> Result<(), Problem> {
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let ours = origin.split_once("://").is_some_and(|(_, host)| {
            headers
                .get(HOST)
                .is_some_and(|ours| ours.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
        });
        let listed = listed.iter().any(|listed| listed == origin);
        return if ours || listed { Ok(()) } else { Err(forbidden()) };
    }
    match headers.get(FETCH_SITE).map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(forbidden()),
    }
}

/// Whether a browser has said where the request comes from, so that [`check`] could judge it.
pub(super) fn said(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE)
}

pub(super) fn forbidden() -> Problem {
    let detail = "a page of another site can not write here: list its origin with --cors-origin";
    Problem::new(StatusCode::FORBIDDEN, "cross_site", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        map.insert(HOST, "jobs.example:8080".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        check(&map, &["https://good.example".to_owned()]).is_ok()
    }

    #[test]
    fn a_page_of_ours_or_a_listed_one_may_write_and_others_may_not() {
        for (headers, may) in [
            (vec![], true),
            (vec![("origin", "http://jobs.example:8080")], true),
            (vec![("origin", "https://JOBS.example:8080")], true),
            (vec![("origin", "https://good.example")], true),
            (vec![("origin", "https://good.example"), ("sec-fetch-site", "cross-site")], true),
            (vec![("origin", "http://good.example")], false),
            (vec![("origin", "https://good.example.evil.example")], false),
            (vec![("origin", "https://good.example:444")], false),
            (vec![("origin", "http://jobs.example")], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "")], false),
            (vec![("origin", "http://localhost:8080")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(passes(&headers), may, "{headers:?}");
        }
    }
}
