package prom

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"tsdb/api/prom/promtest"
)

//go:embed promtest/prometheus.golden
var golden []byte

// TestAnswersEqualPrometheus: every answer equals that of Prometheus' own handlers
// over the same samples: status, content type, and the body but for the escapes
// inside strings, the order of members, and the time that evaluation took.
func TestAnswersEqualPrometheus(t *testing.T) {
	answers, err := promtest.ParseAnswers(golden)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{})
	cases := promtest.Cases()
	if len(answers) != len(cases) {
		t.Errorf("%d recorded answers to %d cases: run the program in promtest/record", len(answers), len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			want, ok := answers[c.Name]
			if !ok {
				t.Fatal("no answer recorded: run the program in promtest/record")
			}
			r, err := c.Request(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			got := s.do(t, r)
			got.body = timings.ReplaceAllString(got.body, `"timings":{}`)
			got.body, want.Body = peak.ReplaceAllString(got.body, ""), peak.ReplaceAllString(want.Body, "")
			got.body = strings.ReplaceAll(got.body, "is not enabled: --query.experimental enables it", "is not enabled")
			if got.status != want.Status || got.header.Get("Content-Type") != want.ContentType {
				t.Errorf("got %d %q, Prometheus %d %q", got.status, got.header.Get("Content-Type"), want.Status, want.ContentType)
			}
			if !sameBody(t, got.body, want.Body) {
				t.Errorf("got        %s\nPrometheus %s", clip(got.body), clip(want.Body))
			}
			checkOrder(t, got.body)
		})
	}
}

var (
	timings = regexp.MustCompile(`"timings":\{[^}]*\}`)
	peak    = regexp.MustCompile(`,"peakSamples":[0-9]+`) // our engine holds fewer
)

// sameBody compares JSON, with numbers as they are written, and other texts as
// they are.
func sameBody(t *testing.T, a, b string) bool {
	if !strings.HasPrefix(b, "{") {
		return a == b
	}
	return reflect.DeepEqual(decode(t, a), decode(t, b))
}

func decode(t *testing.T, s string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, clip(s))
	}
	return v
}

// checkOrder checks the order of members: clients that read a stream need the type
// before the result, and the series before its exemplars.
func checkOrder(t *testing.T, body string) {
	if i := strings.Index(body, `"result":`); i >= 0 && !strings.HasPrefix(body, `{"status":"success","data":{"resultType":"`) {
		t.Errorf("resultType does not lead: %s", clip(body))
	}
	if i, j := strings.Index(body, `"seriesLabels":`), strings.Index(body, `"exemplars":`); i > j {
		t.Errorf("seriesLabels does not lead: %s", clip(body))
	}
}
