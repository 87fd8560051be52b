package ingest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

// lines sends line protocol with nanosecond timestamps to /write.
func (d *server) lines(text string) answer {
	d.t.Helper()
	return d.do("POST", "/write", []byte(text))
}

// ns is the timestamp of the samples in these tests: base in nanoseconds.
var ns = fmt.Sprint(base) + "000000"

// TestInfluxLines sends each line alone, then between two good lines, which must be
// stored whether or not it is refused.
func TestInfluxLines(t *testing.T) {
	one := map[string]float64{`{__name__="m_v"}`: 1}
	tagged := map[string]float64{`{__name__="m_v", t="a"}`: 1}
	for _, c := range []struct {
		name string
		line string // @ stands for the time
		want map[string]float64
		says string // nil want: why refused
	}{
		{"plain", "m v=1 @", one, ""},
		{"with a tag", "m,t=a v=1 @", tagged, ""},
		{"several of each", "m,t=a,s=b v=1,w=2 @", map[string]float64{`{__name__="m_v", s="b", t="a"}`: 1, `{__name__="m_w", s="b", t="a"}`: 2}, ""},
		{"leading spaces", "  m v=1 @", one, ""},
		{"leading tab", "\tm v=1 @", one, ""},
		{"trailing spaces", "m v=1 @   ", one, ""},
		{"trailing spaces without a time", "m v=1  ", one, ""},
		{"CRLF", "m v=1 @\r", one, ""},
		{"CRLF without a time", "m v=1\r", one, ""},
		{"spaces between", "m   v=1   @", one, ""},
		{"newline in a string", "m s=\"a\nb\",v=1 @", one, ""},
		{"quoted line in a string", "m s=\"a\nm v=7 1\n\",v=1 @", one, ""},
		{"escaped quote in a string", `m s="a\"b",v=1 @`, one, ""},
		{"backslash at the end of a string", `m s="a\\",v=1 @`, one, ""},
		{"comma, space and equals in a string", `m s="a, b=c",v=1 @`, one, ""},
		{"only strings", `m s="a" @`, map[string]float64{}, ""},
		{"empty string", `m s="",v=1 @`, one, ""},
		{"comment", "# m v=1 @", map[string]float64{}, ""},
		{"comment with a quote", `  # don't = say "this`, map[string]float64{}, ""},
		{"empty", "", map[string]float64{}, ""},
		{"blanks", " \t ", map[string]float64{}, ""},

		{"float", "m v=1.5 @", map[string]float64{`{__name__="m_v"}`: 1.5}, ""},
		{"float ending in a point", "m v=1. @", one, ""},
		{"float beginning with a point", "m v=.5 @", map[string]float64{`{__name__="m_v"}`: .5}, ""},
		{"float with an exponent", "m v=1e5 @", map[string]float64{`{__name__="m_v"}`: 1e5}, ""},
		{"float with a signed exponent", "m v=-1.25E-3 @", map[string]float64{`{__name__="m_v"}`: -1.25e-3}, ""},
		{"integer", "m v=-12i @", map[string]float64{`{__name__="m_v"}`: -12}, ""},
		{"largest integer", "m v=9223372036854775807i @", map[string]float64{`{__name__="m_v"}`: 9223372036854775807}, ""},
		{"smallest integer", "m v=-9223372036854775808i @", map[string]float64{`{__name__="m_v"}`: -9223372036854775808}, ""},
		{"unsigned", "m v=1u @", one, ""},
		{"largest unsigned", "m v=18446744073709551615u @", map[string]float64{`{__name__="m_v"}`: 18446744073709551615}, ""},
		{"t", "m v=t @", one, ""}, {"T", "m v=T @", one, ""}, {"true", "m v=true @", one, ""}, {"True", "m v=True @", one, ""}, {"TRUE", "m v=TRUE @", one, ""},
		{"f", "m v=f @", map[string]float64{`{__name__="m_v"}`: 0}, ""}, {"FALSE", "m v=FALSE @", map[string]float64{`{__name__="m_v"}`: 0}, ""},
		{"integer overflow", "m v=9223372036854775808i @", nil, "unable to parse integer 9223372036854775808"},
		{"integer underflow", "m v=-9223372036854775809i @", nil, "unable to parse integer"},
		{"unsigned overflow", "m v=18446744073709551616u @", nil, "unable to parse integer"},
		{"fraction of an integer", "m v=1.5i @", nil, "invalid number"},
		{"negative unsigned", "m v=-1u @", nil, "invalid number"},
		{"float overflow", "m v=1e400 @", nil, "unable to parse float"},
		{"plus", "m v=+5 @", nil, "invalid number"},
		{"hexadecimal", "m v=0x10 @", nil, "invalid number"},
		{"underscore", "m v=1_000 @", nil, "invalid number"},
		{"NaN", "m v=NaN @", nil, "invalid number"}, {"nan", "m v=nan @", nil, "invalid number"},
		{"Inf", "m v=Inf @", nil, "invalid number"}, {"-Inf", "m v=-Inf @", nil, "invalid number"},
		{"point alone", "m v=. @", nil, "invalid number"}, {"minus alone", "m v=- @", nil, "invalid number"},
		{"i alone", "m v=i @", nil, "invalid number"},
		{"exponent without digits", "m v=1e @", nil, "invalid number"},
		{"yes", "m v=yes @", nil, "invalid number"}, {"tRUE", "m v=tRUE @", nil, "invalid boolean"},
		{"single quotes", "m v='abc' @", nil, "invalid number"},
		{"duplicate field", "m v=3,v=1 @", one, ""},

		{"escaped measurement", `my\ m\,x v=1 @`, map[string]float64{`{__name__="my m,x_v"}`: 1}, ""},
		{"equals in a measurement", `m=x v=1 @`, map[string]float64{`{__name__="m=x_v"}`: 1}, ""},
		{"escaped tag", `m,t\ k=a\,b\=c\ d v=1 @`, map[string]float64{`{__name__="m_v", "t k"="a,b=c d"}`: 1}, ""},
		{"escaped field", `m v\ w\=x=1 @`, map[string]float64{`{__name__="m_v w=x"}`: 1}, ""},
		{"other backslashes stay", `m\x,t=a\b v=1 @`, map[string]float64{`{__name__="m\\x_v", t="a\\b"}`: 1}, ""},
		{"escaped equals in a measurement", `o\=x,host=a v=1 @`, map[string]float64{`{__name__="o=x_v", host="a"}`: 1}, ""},
		{"escaped quote in a measurement", `o\"x v=1 @`, map[string]float64{`{__name__="o\"x_v"}`: 1}, ""},
		{"escaped quote in a field", `m v\"e=1 @`, map[string]float64{`{__name__="m_v\"e"}`: 1}, ""},
		{"quote in a field", `m v"e=1 @`, map[string]float64{`{__name__="m_v\"e"}`: 1}, ""},
		{"escaped quote in a tag stays", `m,t=a\"b v=1 @`, map[string]float64{`{__name__="m_v", t="a\\\"b"}`: 1}, ""},
		{"equals before a tag value", `m,t==a v=1 @`, map[string]float64{`{__name__="m_v", t="=a"}`: 1}, ""},
		{"escaped equals before a tag value", `m,t=\=a v=1 @`, map[string]float64{`{__name__="m_v", t="=a"}`: 1}, ""},
		{"tab after a space", "m \tv=1 \t@", one, ""},
		{"tabs around everything", "\tm \t\t v=1 \t \t@\t", one, ""},
		{"tab without a space belongs to the name", "m\tx v=1 @", map[string]float64{"{__name__=\"m\\tx_v\"}": 1}, ""},
		{"tab at the end without a time", "m v=1 \t", one, ""},
		{"NUL between", "m \x00v=1 @", nil, "invalid UTF-8 or NUL"},
		{"escaped newline in a tag", "m,t=a\\\nb v=1 @", map[string]float64{"{__name__=\"m_v\", t=\"a\\\\\\nb\"}": 1}, ""},
		{"escaped newline in a measurement", "m\\\nx v=1 @", map[string]float64{"{__name__=\"m\\\\\\nx_v\"}": 1}, ""},
		{"escaped newline in a field", "m v\\\nx=1 @", map[string]float64{"{__name__=\"m_v\\\\\\nx\"}": 1}, ""},
		{"a backslash before it frees the newline", "m,t=a v=1 @ \\\\", nil, "bad timestamp"},
		{"escaped newline does not keep a comment open", "# c\\\nm v=1 @", one, ""},
		{"UTF-8", "größe,ö=ü v=1 @", map[string]float64{`{__name__="größe_v", "ö"="ü"}`: 1}, ""},
		{"quotes are nothing special in a tag", `m,t="a" v=1 @`, map[string]float64{`{__name__="m_v", t="\"a\""}`: 1}, ""},
		{"tags out of order", "m,z=1,a=2 v=1 @", map[string]float64{`{__name__="m_v", a="2", z="1"}`: 1}, ""},

		{"space in quotes in a tag", `m,t="a b" v=1 @`, nil, "invalid field format"},
		{"duplicate tag", "m,t=a,t=b v=1 @", nil, "duplicate tags"},
		{"duplicate tag, same value", "m,t=a,s=b,t=a v=1 @", nil, "duplicate tags"},
		{"empty tag value", "m,t= v=1 @", nil, "missing tag value"},
		{"tag without a value", "m,t v=1 @", nil, "missing tag value"},
		{"empty tag key", "m,=a v=1 @", nil, "missing tag key"},
		{"comma at the end of the tags", "m,t=a, v=1 @", nil, "missing tag key"},
		{"two equals in a tag", "m,t=a=b v=1 @", nil, "invalid tag format"},
		{"three equals in a tag", "m,t===b v=1 @", nil, "invalid tag format"},
		{"two backslashes do not escape a space in a field", `m a\\ v=1 @`, nil, "invalid field format"},
		{"two backslashes before the equals of a field", `m a\\=1 @`, nil, "invalid field format"},
		{"open string with an escaped newline", "m a=\"b\\\nc v=1 @", nil, "unbalanced quotes"},
		{"empty measurement", ",t=a v=1 @", nil, "missing measurement"},
		{"invalid UTF-8 in a tag", "m,t=\xff v=1 @", nil, "invalid UTF-8 or NUL"},
		{"NUL in a tag", "m,t=a\x00b v=1 @", nil, "invalid UTF-8 or NUL"},
		{"invalid UTF-8 in a field", "m v\xff=1 @", nil, "invalid UTF-8 or NUL"},
		{"tag __name__", "m,__name__=x v=1 @", nil, "tag __name__ is reserved"},
		{"escaped tag __name__ among others", `m,a=b,__name__=x,c=d v=1 @`, nil, "tag __name__ is reserved"},
		{"tag time", "m,time=x v=1 @", nil, `input tag "time"`},
		{"field time is dropped", "m time=5,v=1 @", one, ""},
		{"only field time", "m time=5 @", nil, `input field "time"`},
		{"no fields", "m @", nil, "invalid field format"},
		{"nothing but a measurement", "m", nil, "missing fields"},
		{"tags without fields", "m,t=a", nil, "missing fields"},
		{"words", "bad line", nil, "invalid field format"},
		{"no field key", "m =1 @", nil, "missing field key"},
		{"no field value", "m v= @", nil, "missing field value"},
		{"no field value at the end", "m v=", nil, "missing field value"},
		{"comma at the end of the fields", "m v=1, @", nil, "missing field key"},
		{"open string", `m v="abc @`, nil, "unbalanced quotes"},
		{"text after a string", `m v="abc"d @`, nil, "invalid field format"},
		{"word for a time", "m v=1 now", nil, "bad timestamp"},
		{"fraction of a time", "m v=1 1.5", nil, "bad timestamp"},
		{"two times", "m v=1 @ @", nil, "bad timestamp"},
		{"minus for a time", "m v=1 -", nil, "bad timestamp"},
		{"time beyond int64", "m v=1 9223372036854775808", nil, "time outside range"},
		{"largest int64", "m v=1 9223372036854775807", nil, "time outside range"},
		{"key too long", "m,t=" + strings.Repeat("x", 65532) + " v=1 @", nil, "max key length exceeded: 65536 > 65535"},
		{"tag value too long", "m,t=" + strings.Repeat("x", 16<<10+1) + " v=1 @", nil, "limit is 16384"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := strings.ReplaceAll(c.line, "@", ns)
			at := base
			if !strings.Contains(c.line, "@") {
				at = testNow.UnixMilli()
			}
			for _, alone := range []bool{true, false} {
				d := openDoor(t)
				want := map[string]map[int64]float64{}
				for series, v := range c.want {
					want[series] = map[int64]float64{at: v}
				}
				text := line
				if !alone {
					text = "good,n=1 v=1 " + ns + "\n" + line + "\ngood,n=2 v=1 " + ns
					want[`{__name__="good_v", n="1"}`] = map[int64]float64{base: 1}
					want[`{__name__="good_v", n="2"}`] = map[int64]float64{base: 1}
				}
				a := d.lines(text)
				if got := d.storedFloats(); !maps.EqualFunc(got, want, maps.Equal) {
					t.Errorf("stored %v, want %v", got, want)
				}
				if c.want != nil {
					if a.code != 204 || a.body != "" {
						t.Errorf("got %d %q, want 204", a.code, a.body)
					}
					continue
				}
				var e struct{ Error string }
				if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.code != 400 || !strings.Contains(e.Error, c.says) {
					t.Errorf("got %d %q, want 400 with %q", a.code, a.body, c.says)
				}
				partial := strings.HasPrefix(e.Error, "partial write: ") && strings.HasSuffix(e.Error, " dropped=0")
				if partial == alone {
					t.Errorf("alone %v, but the answer is %q", alone, e.Error)
				}
				if h := a.header.Get("X-Influxdb-Error"); h == "" || len(h) > 1024 || strings.ContainsAny(h, "\r\n") {
					t.Errorf("X-Influxdb-Error: %q", h)
				}
			}
		})
	}
}

func TestInfluxPartialWriteBodies(t *testing.T) {
	text := "good v=1 " + ns + "\nbad line\ngood v=2 " + ns
	d := openDoor(t)
	a := d.lines(text)
	want := `{"error":"partial write: unable to parse 'bad line': invalid field format dropped=0"}`
	if a.code != 400 || a.body != want || a.header.Get("X-Influxdb-Error") != "partial write: unable to parse 'bad line': invalid field format dropped=0" {
		t.Errorf("1.x: %d %s, header %q", a.code, a.body, a.header.Get("X-Influxdb-Error"))
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("X-Influxdb-Version") == "" || a.header.Get("Request-Id") == "" {
		t.Errorf("1.x headers: %v", a.header)
	}
	d = openDoor(t)
	a = d.do("POST", "/api/v2/write?bucket=b&org=o", []byte(text))
	want = `{"code":"invalid","message":"partial write: unable to parse 'bad line': invalid field format dropped=0"}`
	if a.code != 400 || a.body != want || a.header.Get("X-Platform-Error-Code") != "invalid" || a.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("2.x: %d %s, %v", a.code, a.body, a.header)
	}
	if got := d.storedFloats()[`{__name__="good_v", db="b"}`]; !maps.Equal(got, map[int64]float64{base: 2}) {
		t.Errorf("stored %v", got)
	}
	d = openDoor(t)
	a = d.lines("good v=1 " + ns + "\nold,a=b v=1 1000000000\nold,a=b v=2 2000000000\n")
	if a.code != 400 || !strings.Contains(a.body, "partial write: points beyond retention policy") || !strings.Contains(a.body, `dropped=2"}`) || !strings.Contains(a.body, `old_v`) {
		t.Errorf("too old: %d %s", a.code, a.body)
	}
	if got := d.storedSeries(); !slices.Equal(got, []string{`{__name__="good_v"}`}) {
		t.Errorf("stored %v", got)
	}
	d = openDoor(t)
	a = d.lines(strings.Repeat("bad line\n", 3) + strings.Repeat("worse\n", 20) + "x\ny\nz\nzz\n" + "good v=1 " + ns)
	if a.code != 400 || !strings.Contains(a.body, "more bad lines") || len(a.body) > 4<<10 {
		t.Errorf("many bad lines: %d %s", a.code, a.body)
	}
}

func TestInfluxStringsAreSkippedAndCounted(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	a := do(t, mux, "POST", "/write", []byte(`m,h=a s="x",v=1,u="y"`+"\n"+`n s="z"`+"\n"))
	if a.code != 204 || len(m.Samples) != 1 {
		t.Fatalf("got %d %s, %v", a.code, a.body, m.Samples)
	}
	if l := m.Rejects.List(); len(l) != 1 || l[0].Reason != storage.ReasonStringField || l[0].Count != 3 || l[0].Series != "m,h=a field s" {
		t.Errorf("counted %+v", l)
	}
}

func TestInfluxTimes(t *testing.T) {
	forEver := func(_ *Options, so *storage.Options) { so.RetentionMs = 0 }
	now := testNow.UnixMilli()
	for _, c := range []struct {
		path, precision, stamp string
		want                   int64
	}{
		{"/write", "", "1700000000123456789", 1700000000123},
		{"/write", "n", "1700000000123999999", 1700000000123},
		{"/write", "ns", "1700000000123999999", 1700000000123},
		{"/write", "u", "1700000000123999", 1700000000123},
		{"/write", "us", "1700000000123999", 1700000000123},
		{"/write", "ms", "1700000000123", 1700000000123},
		{"/write", "s", "1700000000", 1700000000000},
		{"/write", "m", "28333333", 28333333 * 60_000},
		{"/write", "h", "472222", 472222 * 3_600_000},
		{"/api/v2/write", "", "1700000000123456789", 1700000000123},
		{"/api/v2/write", "ns", "1700000000123456789", 1700000000123},
		{"/api/v2/write", "us", "1700000000123999", 1700000000123},
		{"/api/v2/write", "ms", "1700000000123", 1700000000123},
		{"/api/v2/write", "s", "1700000000", 1700000000000},
		// Rounded down, also before 1970.
		{"/write", "ns", "0", 0}, {"/write", "ns", "-1", -1}, {"/write", "ns", "-1000000", -1}, {"/write", "ns", "-1000001", -2},
		{"/write", "u", "-1", -1}, {"/write", "s", "-1", -1000},
		{"/write", "ns", "-9223372036854775806", -9223372036855},
		// No timestamp: the current time, truncated to the precision.
		{"/write", "", "", now}, {"/write", "ms", "", now}, {"/write", "s", "", now / 1000 * 1000},
		{"/write", "m", "", now / 60_000 * 60_000}, {"/write", "h", "", now / 3_600_000 * 3_600_000},
		{"/api/v2/write", "s", "", now / 1000 * 1000},
	} {
		t.Run(c.path+" "+c.precision+" "+c.stamp, func(t *testing.T) {
			d := openDoor(t, forEver)
			a := d.do("POST", c.path+"?precision="+c.precision, []byte("m v=1 "+c.stamp))
			if a.code != 204 {
				t.Fatalf("got %d %s", a.code, a.body)
			}
			if got := d.storedFloats()[`{__name__="m_v"}`]; !maps.Equal(got, map[int64]float64{c.want: 1}) {
				t.Errorf("stored %v, want %d", got, c.want)
			}
		})
	}
	for target, says := range map[string]string{
		"/write?precision=d":          `{"error":"invalid precision \"d\" (use n, u, ms, s, m or h)"}`,
		"/api/v2/write?precision=h":   `"code":"invalid"`,
		"/write?precision=h&db=x":     "time outside range",
		"/api/v2/write?precision=s":   "time outside range",
		"/api/v2/write?precision=foo": "valid precision units are ns, us, ms, and s",
	} {
		d := openDoor(t)
		if a := d.do("POST", target, []byte("m v=1 9223372036854775")); a.code != 400 || !strings.Contains(a.body, says) || len(d.stored()) != 0 {
			t.Errorf("%s: %d %s, want %q", target, a.code, a.body, says)
		}
	}
}
