package ingest

import (
	"encoding/json"
	"maps"
	"os"
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

// differsByDesign reports whether a body is taken or refused otherwise than by the
// corpus, as docs/compatibility.md says: InfluxDB 1.x decides about control characters,
// and the tag time; limits of labels are the server's.
func (c *corpusCase) differsByDesign() bool {
	for _, r := range c.Output.Result {
		if len(r.Tags) > 126 {
			return true
		}
		for _, tag := range r.Tags {
			if tag.Key == "time" {
				return true
			}
		}
	}
	text := string(c.Input.Text)
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f })
}

// TestInfluxCorpus decodes the corpus.json of github.com/influxdata/line-protocol-corpus
// that the variable names: the same bodies are taken, with the same samples.
func TestInfluxCorpus(t *testing.T) {
	path := os.Getenv("TSDB_LINE_PROTOCOL_CORPUS")
	if path == "" {
		t.Skip("TSDB_LINE_PROTOCOL_CORPUS names no corpus.json")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct{ Decode map[string]corpusCase }
	if err := json.Unmarshal(content, &corpus); err != nil {
		t.Fatal(err)
	}
	var agreed, byDesign int
	for _, c := range corpus.Decode {
		m := doortest.NewMemory()
		unit, err := time.ParseDuration(c.Input.Precision)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, memoryDoor(t, m), "POST", "/write?precision="+map[time.Duration]string{1: "ns", time.Microsecond: "us", time.Millisecond: "ms", time.Second: "s"}[unit], []byte(c.Input.Text))
		taken := a.code == 204
		if taken != (c.Output.Error == "") {
			if byDesign++; !c.differsByDesign() {
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
	t.Logf("%d cases: %d agree, %d differ by design", len(corpus.Decode), agreed, byDesign)
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
