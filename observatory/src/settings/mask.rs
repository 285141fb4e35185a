//! Secrets, shown without what is secret in them.

/// Stands for it.
const MASK: &str = "***";

/// A URL without its password, and anything else not at all.
pub(crate) fn masked(secret: &str) -> String {
    let Some((scheme, rest)) = secret.split_once("://") else {
        return if secret.is_empty() { String::new() } else { MASK.to_owned() };
    };
    let (rest, query) =
        rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    // The host begins after the last @: a password may have one, though it should not.
    let place = match rest.rsplit_once('@') {
        Some((user, place)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{place}"),
            None => format!("{user}@{place}"),
        },
        None => rest.to_owned(),
    };
    let query = query.map(|query| query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
    format!("{scheme}://{place}{}", query.map_or_else(String::new, |query| format!("?{query}")))
}

/// A parameter of a URL: what is called like a secret is one.
fn parameter(text: &str) -> String {
    let name = text.split('=').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    match ["pass", "secret", "token", "key", "cert"].iter().any(|word| lower.contains(word)) {
        true => format!("{name}={MASK}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn of_a_secret_nothing_is_shown_but_where_it_leads() {
        for (secret, shown) in [
            ("amqp://ada:s3cret@broker:5672/%2f", "amqp://ada:***@broker:5672/%2f"),
            ("postgres://ada@db/jobs", "postgres://ada@db/jobs"),
            ("postgres://ada:s3cret@s3cret@db/jobs", "postgres://ada:***@db/jobs"),
            ("redis://:s3cret@here", "redis://:***@here"),
            (
                "mongodb://a/?replicaSet=rs0&password=s3cret",
                "mongodb://a/?replicaSet=rs0&password=***",
            ),
            ("s3cret", "***"),
            ("", ""),
        ] {
            assert_eq!(masked(secret), shown);
        }
    }
}
