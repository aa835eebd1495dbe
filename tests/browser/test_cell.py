"""The studio's page within another one, as in a cell of a notebook."""

import minigan as mg


def test_the_page_stands_in_a_cell(browser, tmp_path):
    with mg.studio("normal(4, 1.25)", steps=50) as page:
        (tmp_path / "cell.html").write_text(f"<body>{page._repr_html_()}</body>", encoding="utf-8")
        browser.offline(False)
        browser.requests()
        browser.driver.get((tmp_path / "cell.html").as_uri())
        browser.driver.switch_to.frame(0)
        browser.until(
            "window.Bokeh !== undefined && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle"
        )
        browser.until("document.body.innerText.length >= 0 && Bokeh.documents[0].roots().length > 0")
        assert browser.errors() == []
        asked = [url for url in browser.requests() if not url.startswith(("file:", "data:", "blob:"))]
        assert asked and all(url.startswith(page.url.rsplit("/", 2)[0]) for url in asked)
        browser.driver.switch_to.default_content()
        browser.driver.get("about:blank")
