package ingest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/doortest"
)

// corpusBytes are the bytes of a body or name, as text or in base64.
type corpusBytes string

func (b *corpusBytes) UnmarshalJSON(j []byte) error {
	var text string
	if json.Unmarshal(j, &text) == nil {
		*b = corpusBytes(text)
		return nil
	}
	var x struct{ Binary []byte }
	err := json.Unmarshal(j, &x)
	*b = corpusBytes(x.Binary)
	return err
}

// corpusCase is a case of the line-protocol corpus: a body and the points in it.
type corpusCase struct {
	Input struct {
		Text        corpusBytes
		DefaultTime int64
		Precision   string
	}
	Output struct {
		Error  string
		Result []struct {
			Time   json.Number
			Name   corpusBytes
			Tags   []struct{ Key, Value corpusBytes }
			Fields []struct {
				Key   corpusBytes
				Value map[string]json.RawMessage
			}
		}
	}
}

// The reasons for which a body is taken or refused otherwise than by the corpus, as
// docs/compatibility.md says, and how many bodies each of them has.
var corpusDeviations = map[string]int{
	"more labels than --limit.labels":                         1,
	"the tag time, which InfluxDB 1.x refuses when it stores": 2,
	"control characters, about which InfluxDB 1.x decides":    40,
	"labels are UTF-8": 6,
}

// deviation returns why the body may be taken or refused otherwise than by the corpus, ""
// if it may not.
func (c *corpusCase) deviation() string {
	for _, r := range c.Output.Result {
		if len(r.Tags) > 126 {
			return "more labels than --limit.labels"
		}
		for _, tag := range r.Tags {
			if tag.Key == "time" {
				return "the tag time, which InfluxDB 1.x refuses when it stores"
			}
		}
	}
	switch text := string(c.Input.Text); {
	case !utf8.ValidString(text):
		return "labels are UTF-8"
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }):
		return "control characters, about which InfluxDB 1.x decides"
	}
	return ""
}

// corpusPath returns the path of the corpus, which make test-deps downloads. If it is
// missing the test is skipped, or fails on continuous integration.
func corpusPath(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TSDB_TEST_BIN")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".cache", "tsdb-test", "bin")
	}
	path := filepath.Join(dir, "line-protocol-corpus.json")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("the corpus is not there (make test-deps downloads it)")
	}
	return path
}

// TestInfluxCorpus decodes the corpus of github.com/influxdata/line-protocol-corpus: the
// same bodies are taken, with the same samples, but for the deviations.
func TestInfluxCorpus(t *testing.T) {
	content, err := os.ReadFile(corpusPath(t))
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct{ Decode map[string]corpusCase }
	if err := json.Unmarshal(content, &corpus); err != nil {
		t.Fatal(err)
	}
	agreed, deviations := 0, map[string]int{}
	m := doortest.NewMemory()
	d := memoryDoor(t, m)
	for _, c := range corpus.Decode {
		*m = *doortest.NewMemory()
		unit, err := time.ParseDuration(c.Input.Precision)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, d, "POST", "/write?precision="+map[time.Duration]string{1: "ns", time.Microsecond: "us", time.Millisecond: "ms", time.Second: "s"}[unit], []byte(c.Input.Text))
		taken := a.code == 204
		if taken != (c.Output.Error == "") {
			why := c.deviation()
			if deviations[why]++; why == "" {
				t.Errorf("%q: %d %s, the corpus says %q", c.Input.Text, a.code, a.body, c.Output.Error)
			}
			continue
		}
		agreed++
		if !taken {
			continue
		}
		got, want := map[string]float64{}, map[string]float64{} // the corpus does not tell 0 from -0
		for _, s := range m.Samples {
			got[s.Series] = s.V
		}
		for _, r := range c.Output.Result {
			for _, f := range r.Fields {
				v, ok := corpusValue(t, f.Value)
				if !ok || f.Key == "time" {
					continue
				}
				b := labels.NewBuilder(labels.FromStrings("__name__", string(r.Name+"_"+f.Key)))
				for _, tag := range r.Tags {
					b.Set(string(tag.Key), string(tag.Value))
				}
				want[b.Labels().String()] = v
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q: series %q, want %q", c.Input.Text, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	if agreed != 6566 || !maps.Equal(deviations, corpusDeviations) {
		t.Errorf("of %d bodies %d agree and others deviate: %v; want 6566 and %v", len(corpus.Decode), agreed, deviations, corpusDeviations)
	}
}

// corpusValue returns the value of a field as a sample; ok is false for strings.
func corpusValue(t *testing.T, value map[string]json.RawMessage) (v float64, ok bool) {
	for kind, j := range value {
		switch kind {
		case "string":
			return 0, false
		case "bool":
			if string(j) == "true" {
				return 1, true
			}
			return 0, true
		}
		if err := json.Unmarshal([]byte(strings.Trim(string(j), `"`)), &v); err != nil {
			t.Fatalf("value %s: %v", j, err)
		}
	}
	return v, true
}
