//! What all pages have in common: one file, in which everything is that it needs.

use std::fmt;
use std::fmt::Write as _;

/// A page that is put together.
#[derive(Debug, Default)]
pub(crate) struct Page {
    title: String,
    summary: String,
    styles: Vec<&'static str>,
    scripts: Vec<&'static str>,
    data: Option<serde_json::Value>,
    sections: Vec<(&'static str, &'static str)>,
    body: String,
}

/// Text that cannot be taken for markup.
pub(crate) struct Escaped<'t>(pub(crate) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                // What a page cannot have, and what would turn the direction of what follows.
                character if character.is_control() || is_format(character) => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

fn is_format(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Page {
    /// Returns an empty page.
    pub(crate) fn new(title: &str, summary: &str) -> Page {
        let styles = vec![include_str!("../assets/page.css")];
        Page { title: title.to_owned(), summary: summary.to_owned(), styles, ..Page::default() }
    }

    /// Adds a style.
    pub(crate) fn style(&mut self, style: &'static str) {
        self.styles.push(style);
    }

    /// Adds a script, and what it reads.
    pub(crate) fn script(&mut self, script: &'static str, data: serde_json::Value) {
        self.scripts.push(script);
        self.data = Some(data);
    }

    /// Begins a section. What is written to the page from now on is in it.
    pub(crate) fn section(&mut self, id: &'static str, heading: &'static str) {
        if !self.sections.is_empty() {
            self.body.push_str("</section>\n");
        }
        self.sections.push((id, heading));
        let _ = writeln!(self.body, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>");
    }

    /// Adds markup to the section.
    pub(crate) fn add(&mut self, markup: fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = self.body.write_fmt(markup);
    }

    /// Returns the page.
    pub(crate) fn finish(self) -> String {
        let mut page = String::new();
        let title = Escaped(&self.title);
        let _ = write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n"
        );
        for style in &self.styles {
            let _ = write!(page, "<style>\n{style}</style>\n");
        }
        let _ = write!(
            page,
            "</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n\
             <header>\n<h1>{title}</h1>\n<p class=\"quiet\">{}</p>\n</header>\n\
             <nav class=\"sections\" aria-label=\"Sections\">\n<ul>\n",
            Escaped(&self.summary)
        );
        for (id, heading) in &self.sections {
            let _ = writeln!(page, "<li><a href=\"#{id}\">{heading}</a></li>");
        }
        let end = if self.sections.is_empty() { "" } else { "</section>\n" };
        let _ = write!(page, "</ul>\n</nav>\n<main id=\"main\">\n{}{end}</main>\n", self.body);
        if let Some(data) = &self.data {
            // In a script nothing is escaped but what would end it.
            let text = data.to_string().replace('<', "\\u003c");
            let _ = writeln!(page, "<script type=\"application/json\" id=\"data\">{text}</script>");
        }
        for script in &self.scripts {
            let _ = write!(page, "<script>\n{script}</script>\n");
        }
        page.push_str("</body>\n</html>\n");
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        let mut page = Page::new("<b>\"&'\u{202e}\u{7}", "</p><script>");
        page.section("one", "One");
        page.add(format_args!("{}", Escaped("<i>\n")));
        page.script("", serde_json::json!(["</script><script>alert(1)"]));
        let page = page.finish();
        assert!(page.contains("<title>&lt;b&gt;&quot;&amp;&#39;\\u{202e}\\u{7}</title>"), "{page}");
        assert!(page.contains("&lt;/p&gt;&lt;script&gt;"));
        assert!(page.contains("[\"\\u003c/script>\\u003cscript>alert(1)\"]"));
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
    }

    #[test]
    fn nothing_is_asked_of_others() {
        let mut page = Page::new("a", "b");
        page.style(include_str!("../assets/size.css"));
        page.style(include_str!("../assets/build.css"));
        page.script(include_str!("../assets/treemap.js"), serde_json::json!({}));
        let page = page.finish();
        for word in ["http:", "https:", "//cdn", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
