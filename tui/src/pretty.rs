//! JSON as people read it, out of its text, so that numbers keep their digits.

/// Deeper than this it is not moved further to the right.
const DEEPEST: usize = 16;

/// Text that is no JSON comes out as it may; nothing of it is lost but white space.
pub(crate) fn pretty(json: &str) -> String {
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let mut chars = json.chars().filter(|c| *c != '\r').peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth.min(DEEPEST)));
    };
    while let Some(c) = chars.next() {
        if quoted {
            text.push(c);
            (quoted, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                text.push(c);
            }
            '{' | '[' => {
                text.push(c);
                while chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
                    chars.next();
                }
                match chars.peek() {
                    Some(end @ ('}' | ']')) => {
                        text.push(*end);
                        chars.next();
                    }
                    _ => {
                        depth += 1;
                        line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_what_is_quoted_stays_as_it_is() {
        let json = r#"{"n": 12345678901234567890.10, "s":"a, {\"b\": 1}\\", "e": {}, "l":[1,[]]}"#;
        let lines = [
            "{",
            "  \"n\": 12345678901234567890.10,",
            "  \"s\": \"a, {\\\"b\\\": 1}\\\\\",",
            "  \"e\": {},",
            "  \"l\": [",
            "    1,",
            "    []",
            "  ]",
            "}",
        ];
        assert_eq!(pretty(json), lines.join("\n"));
    }
}
