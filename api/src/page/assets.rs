//! The files of the page, as they are compiled in.

/// A file's name, its media type, and its text.
type File = (&'static str, &'static str, &'static str);

/// A file's media type and its text.
pub(super) fn find(name: &str) -> Option<(&'static str, &'static str)> {
    let script = || SCRIPTS.into_iter().find(|(other, _)| *other == name);
    let other = OTHERS.into_iter().find(|(other, ..)| *other == name);
    other
        .map(|(_, media_type, text)| (media_type, text))
        .or_else(|| script().map(|(_, text)| ("text/javascript; charset=utf-8", text)))
}

const OTHERS: [File; 4] = [
    ("page.css", "text/css; charset=utf-8", include_str!("../../web/page.css")),
    ("parts.css", "text/css; charset=utf-8", include_str!("../../web/parts.css")),
    ("page.svg", "image/svg+xml", include_str!("../../web/page.svg")),
    ("registry.json", "application/json", include_str!("../../../contracts/ui-registry.json")),
];

macro_rules! scripts {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../web/", $name)))),*]
    };
}

/// Modules, each of which names those that it needs.
const SCRIPTS: [(&str, &str); 27] = scripts! {
    "add.js" "address.js" "alerts.js" "ask.js" "chart.js" "copy.js" "dataflow.js" "dom.js"
    "filter.js" "fold.js" "graph.js" "job.js" "jobs.js" "json.js" "letters.js" "live.js"
    "matrix.js" "menu.js" "notes.js" "overview.js" "page.js" "rates.js" "rules.js" "session.js"
    "timeline.js" "words.js" "workers.js"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_that_another_names_is_here() {
        for (file, text) in SCRIPTS {
            let named = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
            for name in named {
                assert!(find(name).is_some(), "{file} imports {name}");
            }
        }
    }

    #[test]
    fn no_script_makes_markup_or_code_of_text() {
        for (file, text) in SCRIPTS {
            let ways = [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
            ];
            for way in ways {
                assert!(!text.contains(way), "{file} has {way}");
            }
        }
    }

    /// Bytes of what is sent when nothing is in the browser's cache.
    const MOST: usize = 200_000;

    #[test]
    fn the_page_is_light() {
        let scripts = SCRIPTS.iter().map(|(_, text)| text.len()).sum::<usize>();
        let others = OTHERS.iter().map(|(_, _, text)| text.len()).sum::<usize>();
        assert!(scripts + others <= MOST, "{scripts} and {others} bytes");
    }
}
