package resolution

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	f := func(name, want, refusal string, rollups ...string) {
		t.Helper()
		r, err := Parse(name, rollups)
		switch {
		case refusal != "":
			if err == nil || !strings.Contains(err.Error(), refusal) {
				t.Errorf("%q with %q: %v, want an error with %q", name, rollups, err, refusal)
			}
		case err != nil || r.String() != want:
			t.Errorf("%q with %q: %v, %v; want %s", name, rollups, r, err, want)
		}
	}
	f("", "auto", "", "1m", "1h")
	f("auto", "auto", "")
	f("raw", "raw", "")
	f("1h", "1h", "", "1m", "1h")
	f("5m", "", `unknown resolution "5m", want one of auto, raw, 1m, 1h`, "1m", "1h")
	f("1h", "", `unknown resolution "1h", want one of auto, raw`)
	f("hourly", "", `unknown resolution "hourly", want one of auto, raw, 1h`, "1h")
}
