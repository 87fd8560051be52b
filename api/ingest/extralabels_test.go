package ingest

import (
	"net/http"
	"strings"
	"testing"
)

// extra_label adds a label to the series of every door over HTTP, in the place of theirs of
// its name, also to known ones.
func TestExtraLabelsOnEveryDoor(t *testing.T) {
	for name := range writes(t) {
		d := openDoor(t)
		for _, query := range []string{"", "extra_label=x=1", "extra_label=x=2&extra_label=__name__=n", ""} {
			r := writes(t)[name]
			r.URL.RawQuery += "&" + query
			if a := send(t, d.mux, r); a.code != http.StatusNoContent {
				t.Errorf("%s: %d %s", name, a.code, a.body)
			}
		}
		own := "m"
		if strings.HasPrefix(name, "influx") {
			own = "m_v"
		}
		want := `{__name__="` + own + `", x="1"} {__name__="` + own + `"} {__name__="n", x="2"}`
		if got := strings.Join(d.storedSeries(), " "); got != want {
			t.Errorf("%s: stored %s, want %s", name, got, want)
		}
		r := writes(t)[name]
		r.URL.RawQuery += "&extra_label=x"
		if a := send(t, d.mux, r); a.code != http.StatusBadRequest || !strings.Contains(a.body, "want name=value") {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}
