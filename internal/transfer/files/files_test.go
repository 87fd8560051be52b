package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tsdb/internal/transfer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// readAll returns what a source emits, as text, sorted.
func readAll(t testing.TB, kind string, o Options, from int64, paths ...string) (found []string, ends []int64) {
	t.Helper()
	o.Now = now
	src, err := Open(kind, paths, o)
	must(t, err)
	defer src.Close()
	plan, err := src.Plan(context.Background())
	must(t, err)
	for _, u := range plan.Units {
		must(t, src.Read(context.Background(), u, from, func(pos int64, item *transfer.Item) error {
			switch {
			case item.Refused > 0:
				found = append(found, fmt.Sprintf("refused %d %s", item.Refused, item.Reason))
			case item.Metric != "":
				found = append(found, fmt.Sprintf("meta %s %s %s", item.Metric, item.Metadata.Type, item.Metadata.Help))
			default:
				for i, ts := range item.Samples.T {
					found = append(found, fmt.Sprintf("%s %d %v", item.Labels, ts, item.Samples.V[i]))
				}
				for _, e := range item.Exemplars {
					found = append(found, fmt.Sprintf("exemplar %s %d %v %s", item.Labels, e.T, e.V, e.Labels))
				}
			}
			ends = append(ends, pos)
			return nil
		}))
	}
	slices.Sort(found)
	return found, ends
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(p, []byte(text), 0o600))
	return p
}

func TestFilesOfEveryKind(t *testing.T) {
	for _, c := range []struct {
		kind, text string
		o          Options
		want       []string
	}{
		{"lines", `{"metric":{"__name__":"m","a":"b"},"values":[1,2.5],"timestamps":[1000,2000]}
{"metric":{"__name__":"m","a":"b"},"values":[3],"timestamps":[3000]}
{"metric":{"__name__":"m"},"values":[1,2],"timestamps":[1]}
hello
`, Options{}, []string{"refused 3 bad_value", `{__name__="m", a="b"} 1000 1`, `{__name__="m", a="b"} 2000 2.5`, `{__name__="m", a="b"} 3000 3`}},
		{"csv", "1795651200,host1,21.5,3\n1795651260.5,\"host,2\",22,\n1795651320,host1,x,4\nnever,host1,1,1\n1795651380\n",
			Options{CSV: "1:time:unix_s,2:label:host,3:metric:temp,4:metric:load"},
			[]string{
				"refused 2 bad_time", "refused 3 bad_value", `{__name__="load", host="host1"} 1795651200000 3`, `{__name__="load", host="host1"} 1795651320000 4`,
				`{__name__="temp", host="host,2"} 1795651260500 22`, `{__name__="temp", host="host1"} 1795651200000 21.5`,
			}},
		{"csv", exportedHeader + "\nm,\"{\"\"a\"\":\"\"x,y\"\"}\",1500,NaN\nm,{},1500,-Inf\nm,{},1500\nm,{},x,1\nm,{},1,x\nm,{,1,1\n", Options{CSV: ExportedCSV},
			[]string{"refused 1 bad_label", "refused 1 bad_time", "refused 2 bad_value", `{__name__="m", a="x,y"} 1500 NaN`, `{__name__="m"} 1500 -Inf`}},
		{"csv", "2026-03-10T12:00:00Z;", Options{CSV: "2:metric:m"}, []string{"refused 1 bad_value"}},
		{"openmetrics", "# HELP m of a test\n# TYPE m counter\nm_total{a=\"b\"} 1 1.5 # {id=\"x\"} 0.5 1.25\nm_total{a=\"b\"} 2 2.5\nbad line here\nm_total 3\n# EOF\n", Options{},
			[]string{
				`exemplar {__name__="m_total", a="b"} 1250 0.5 {id="x"}`, "meta m counter of a test", "refused 1 bad_time", "refused 1 bad_value",
				`{__name__="m_total", a="b"} 1500 1`, `{__name__="m_total", a="b"} 2500 2`,
			}},
		{"text", "# HELP m of a test\n# TYPE m gauge\nm{a=\"b\"} NaN 1500\nm 2 2500\n", Options{}, []string{"meta m gauge of a test", `{__name__="m", a="b"} 1500 NaN`, `{__name__="m"} 2500 2`}},
		{"influx", "cpu,host=a usage=1.5,idle=2i 1795651200000000000\ncpu,host=a usage=2.5 1795651260000000000\ncpu,host=a note=\"x\"\nnonsense\n",
			Options{DB: "telegraf", DBLabel: "db"},
			[]string{
				"refused 1 bad_value", "refused 1 string_field", `{__name__="cpu_idle", db="telegraf", host="a"} 1795651200000 2`,
				`{__name__="cpu_usage", db="telegraf", host="a"} 1795651200000 1.5`, `{__name__="cpu_usage", db="telegraf", host="a"} 1795651260000 2.5`,
			}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			got, ends := readAll(t, c.kind, c.o, 0, write(t, "file", c.text))
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if n := len(ends); n == 0 || ends[n-1] != int64(len(c.text)) {
				t.Errorf("positions %v of %d bytes", ends, len(c.text))
			}
		})
	}
}

func TestCompressedFilesAndPositions(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, `{"metric":{"__name__":"m"},"values":[%d],"timestamps":[%d]}`+"\n", i, i)
	}
	half := int64(len(text.String()[:strings.Index(text.String(), `"values":[500]`)-len(`{"metric":{"__name__":"m"},`)]))
	var zipped, zstded bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(text.String()))
	must(t, err)
	must(t, z.Close())
	s, err := zstd.NewWriter(&zstded)
	must(t, err)
	_, err = s.Write([]byte(text.String()))
	must(t, err)
	must(t, s.Close())
	for name, content := range map[string]string{"plain": text.String(), "gz": zipped.String(), "zst": zstded.String()} {
		file := write(t, name, content)
		if got, _ := readAll(t, "lines", Options{}, 0, file); len(got) != 1000 {
			t.Errorf("%s: %d samples", name, len(got))
		}
		if got, _ := readAll(t, "lines", Options{}, half, filepath.Dir(file)); len(got) != 500 {
			t.Errorf("%s: %d samples from the middle on", name, len(got))
		}
	}
	if _, err := Open("lines", []string{filepath.Join(t.TempDir(), "no*")}, Options{}); err == nil {
		t.Error("a missing file was opened")
	}
	for _, format := range []string{"", "1:metric", "x:metric:m", "1:time:unix_s", "1:time:never,2:metric:m", "1:nothing:m"} {
		if _, err := Open("csv", nil, Options{CSV: format}); err == nil {
			t.Errorf("format %q was taken", format)
		}
	}
	if _, err := Open("influx", nil, Options{Precision: "x"}); err == nil {
		t.Error("precision x was taken")
	}
}

// No file of any kind makes the reading fail or panic.
func FuzzFiles(f *testing.F) {
	for kind, text := range []string{
		`{"metric":{"__name__":"m"},"values":[1],"timestamps":[1]}`, "1,2,3\n", "# TYPE m counter\nm_total 1 1.5\n", "m{a=\"b\"} 1 2\n", "cpu,host=a usage=1.5 1\n",
		"m,\"{\"\"a\"\":\"\"b\"\"}\",1,2\nm,\"{\"\"a\"\":\"\"b\"\"}\",2,\"3\"\n",
	} {
		f.Add(kind, []byte(text))
	}
	name := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, kind int, text []byte) {
		if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) || bytes.HasPrefix(text, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
			return // broken compression is an error
		}
		must(t, os.WriteFile(name, text, 0o600))
		o := Options{CSV: "1:time:unix_s,2:label:l,3:metric:m"}
		n := uint(kind) % uint(len(Kinds)+1)
		if n == uint(len(Kinds)) {
			n, o.CSV = 1, ExportedCSV
		}
		readAll(t, Kinds[n], o, 0, name)
	})
}
