package ingest

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
	"tsdb/storage"
)

func TestJSONLines(t *testing.T) {
	d := openDoor(t)
	at := func(i int) int64 { return base + int64(i) }
	good := fmt.Sprintf(`{"metric":{"__name__":"m","a":"b"},"values":[1,null,"Infinity","NaN:7ff0000000000002"],"timestamps":[%d,%d,%d,%d]}`, at(0), at(1), at(2), at(3))
	r := d.do("POST", "/api/v1/import", []byte(good+"\n\n"))
	if r.code != http.StatusNoContent {
		t.Fatalf("%d %s", r.code, r.body)
	}
	s := d.stored()[`{__name__="m", a="b"}`]
	if s == nil || s.Len() != 4 || math.Float64bits(s.V[3]) != 0x7ff0000000000002 || !math.IsInf(s.V[2], 1) || math.Float64bits(s.V[1]) != 0x7ff8000000000001 {
		t.Fatalf("%+v", s)
	}

	// Bad lines are refused one by one, with a reason; the rest is stored.
	body := strings.Join([]string{
		"hello",
		fmt.Sprintf(`{"metric":{"a":"b"},"values":[1],"timestamps":[%d]}`, at(0)),
		fmt.Sprintf(`{"metric":{"__name__":"m"},"values":[1,2],"timestamps":[%d]}`, at(0)),
		fmt.Sprintf(`{"metric":{"__name__":"m","a":"c"},"values":[5],"timestamps":[%d]}`, at(0)),
		`{"metric":{"__name__":"m","a":"c"},"values":[6],"timestamps":[1]}`,
	}, "\n")
	r = d.do("PUT", "/api/v1/import", []byte(body))
	for _, part := range []string{"1 written, 5 refused", "bad_value", "no_name", "too_old"} {
		if r.code != http.StatusBadRequest || !strings.Contains(string(r.body), part) {
			t.Errorf("%d %s, want %q", r.code, r.body, part)
		}
	}
	if got := d.storedFloats()[`{__name__="m", a="c"}`]; !maps.Equal(got, map[int64]float64{at(0): 5}) {
		t.Errorf("%v", got)
	}
	for text, headers := range map[string][]string{"unsupported content encoding": {"Content-Encoding", "br"}, "decompress gzip": {"Content-Encoding", "gzip"}} {
		if r := d.do("POST", "/api/v1/import", []byte(good), headers...); r.code != http.StatusBadRequest || !strings.Contains(string(r.body), text) {
			t.Errorf("%d %s, want %q", r.code, r.body, text)
		}
	}
}

// A body may be longer than a request may be: it is stored piece by piece. All kinds of
// samples come back as they were.
func TestJSONLinesOfAnyLength(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.MaxBodyBytes = 1 << 20 })
	want := map[string]*model.Samples{}
	var body []byte
	for i := range 400 {
		ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
		s := &model.Samples{}
		for k := range 500 {
			s.Append(base+int64(k), int64(k%2)*base, float64(i)+float64(k)/7, model.Histogram{})
		}
		want[ls.String()] = s
		body = jsonl.AppendSamples(body, ls, s, 0)
	}
	if len(body) < 4<<20 {
		t.Fatalf("a body of %d bytes", len(body))
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // sending it again changes nothing
		if r := d.do("POST", "/api/v1/import", zipped.Bytes(), "Content-Encoding", "gzip"); r.code != http.StatusNoContent {
			t.Fatalf("%d %s", r.code, r.body)
		}
		got := d.stored()
		if len(got) != len(want) {
			t.Fatalf("%d series", len(got))
		}
		for name, s := range want {
			for k := range s.T {
				if got[name].Len() != s.Len() || !got[name].EqualAt(k, s, k) {
					t.Fatalf("%s differs in row %d", name, k)
				}
			}
		}
	}
	long := append(bytes.Repeat([]byte(" "), 2<<20), `{"metric":{"__name__":"m"},"values":[1],"timestamps":[1]}`...)
	if r := d.do("POST", "/api/v1/import", long); r.code != http.StatusRequestEntityTooLarge || !strings.Contains(string(r.body), "limit.body") {
		t.Errorf("a line beyond the limit: %d %s", r.code, r.body)
	}
	if used := d.budget; used != nil && used.Used() != 0 {
		t.Errorf("%d bytes stay charged", used.Used())
	}
}
