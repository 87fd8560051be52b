package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// writer is a path to which clients of a protocol write.
type writer struct {
	name, path string
	headers    []string
	good, bad  []byte // bad cannot be decoded
	// message returns the text of an error in the form of the protocol, with the code
	// that it gives besides the status.
	message func(t *testing.T, a answer) string
}

func writersOf(t *testing.T) []writer {
	plain := func(t *testing.T, a answer) string {
		if media := a.header.Get("Content-Type"); media != "text/plain; charset=utf-8" {
			t.Errorf("media type %q", media)
		}
		return a.body
	}
	// inJSON reads an error that is an object, whose text has a place of its own.
	inJSON := func(text func(m map[string]any) any, check func(t *testing.T, a answer)) func(*testing.T, answer) string {
		return func(t *testing.T, a answer) string {
			m := map[string]any{}
			if err := json.Unmarshal([]byte(a.body), &m); err != nil || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				t.Fatalf("%+v: %v", a, err)
			}
			check(t, a)
			s, _ := text(m).(string)
			return s
		}
	}
	is := func(t *testing.T, what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	influx1 := inJSON(func(m map[string]any) any { return m["error"] }, func(t *testing.T, a answer) {
		is(t, "X-Influxdb-Error", a.header.Get("X-Influxdb-Error") != "", true)
	})
	influx2 := inJSON(func(m map[string]any) any { return m["message"] }, func(t *testing.T, a answer) {
		is(t, "code", a.header.Get("X-Platform-Error-Code"), map[int]string{503: "unavailable", 500: "internal error", 413: "request too large", 400: "invalid"}[a.code])
	})
	influx3 := inJSON(func(m map[string]any) any { return m["error"] }, func(*testing.T, answer) {})
	openTSDB := inJSON(func(m map[string]any) any {
		e, _ := m["error"].(map[string]any)
		return e["message"]
	}, func(t *testing.T, a answer) {
		is(t, "code", strings.Contains(a.body, `"code":`+strconv.Itoa(a.code)), true)
	})
	dataDog := inJSON(func(m map[string]any) any {
		texts, _ := m["errors"].([]any)
		return texts[0]
	}, func(*testing.T, answer) {})
	rpcCodes := map[int]codes.Code{503: codes.Unavailable, 500: codes.Internal, 413: codes.InvalidArgument, 400: codes.InvalidArgument}
	otlpJSON := inJSON(func(m map[string]any) any { return m["message"] }, func(t *testing.T, a answer) {
		is(t, "code", strings.Contains(a.body, fmt.Sprintf(`"code":%d`, rpcCodes[a.code])), true)
	})
	otlpMessage := func(t *testing.T, a answer) string {
		b := []byte(a.body)
		_, _, n := protowire.ConsumeField(b)
		if n < 0 || a.header.Get("Content-Type") != "application/x-protobuf" {
			t.Fatalf("%+v", a)
		}
		code, _ := protowire.ConsumeVarint(b[1:])
		is(t, "code", codes.Code(code), rpcCodes[a.code])
		text, _ := protowire.ConsumeBytes(b[n+1:])
		return string(text)
	}
	series1 := doortest.Snap(doortest.Marshal1(t, doortest.Request1(doortest.Sample1(base, 1, "__name__", "m"))))
	series2 := doortest.Snap(doortest.Marshal2(t, doortest.NewBuilder2().Sample(base, 1, "__name__", "m").Request()))
	dataDog1 := fmt.Appendf(nil, `{"series":[{"metric":"m","points":[[%d,1]]}]}`, base/1000)
	dataDog2 := fmt.Appendf(nil, `{"series":[{"metric":"m","points":[{"timestamp":%d,"value":1}]}]}`, base/1000)
	dataDogMessage := field(nil, 1, append(field(nil, 2, []byte("m")), field(nil, 4, append([]byte{1<<3 | 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 2 << 3}, appendVarint(nil, uint64(base/1000))...))...))
	line := []byte("m v=1 " + ns)
	return []writer{
		{"remote write 1", "/api/v1/write", []string{"Content-Type", type1}, series1, []byte("x"), plain},
		{"remote write 2", "/api/v1/push", []string{"Content-Type", type2}, series2, []byte("x"), plain},
		{"OTLP", "/v1/metrics", []string{"Content-Type", "application/x-protobuf"}, otlpRequest(t, otlpCounter(base)), []byte("x"), otlpMessage},
		{"OTLP in JSON", "/v1/metrics", []string{"Content-Type", "application/json"}, []byte(`{"resourceMetrics":[]}`), []byte("x"), otlpJSON},
		{"InfluxDB 1", "/write", nil, line, []byte("x"), influx1},
		{"InfluxDB 2", "/api/v2/write", nil, line, []byte("x"), influx2},
		{"InfluxDB 3", "/api/v3/write_lp", nil, line, []byte("x"), influx3},
		{"JSON lines", "/api/v1/import", nil, fmt.Appendf(nil, `{"metric":{"__name__":"m"},"values":[1],"timestamps":[%d]}`, base), []byte("x"), plain},
		{"text", textPath, nil, fmt.Appendf(nil, "m 1 %d", base), []byte("m x"), plain},
		{"CSV", "/api/v1/import/csv?format=1:metric:m", nil, []byte("1"), []byte("x"), plain},
		{"Pushgateway", "/metrics/job/j", nil, []byte("m 1\n"), []byte("m x\n"), plain},
		{"OpenTSDB", "/api/put", nil, fmt.Appendf(nil, `{"metric":"m","value":1,"timestamp":%d}`, base), []byte("x"), openTSDB},
		{"DataDog 1", "/datadog/api/v1/series", nil, dataDog1, []byte("x"), dataDog},
		{"DataDog 2", "/api/v2/series", nil, dataDog2, []byte("x"), dataDog},
		{"DataDog 2, messages", "/api/v2/series", []string{"Content-Type", "application/x-protobuf"}, dataDogMessage, []byte("x"), dataDog},
	}
}

// outages are the errors of a database that takes no writes at the moment, or ever again
// until the server has been restarted.
var outages = map[string]error{
	"starts":           fmt.Errorf("%w: replaying the log", storage.ErrBusy),
	"head is full":     fmt.Errorf("%w: the head is full and the one before it is still being written", storage.ErrBusy),
	"disk is full":     fmt.Errorf("%w: no space left on device", storage.ErrBusy),
	"log failed":       fmt.Errorf("commit: %w", storage.ErrPoisoned),
	"shuts down":       storage.ErrClosed,
	"series are gone":  storage.ErrStaleRef,
	"memory is short":  reqbody.ErrOverload,
	"slow bodies wait": reqbody.ErrYielded,
}

// TestClientsRetryWhatMayBeStoredLater: every door answers what may be stored later with
// the status that its clients send again for, 503 and Retry-After over HTTP, and what
// never will be with one for which they do not, each in the protocol's own form.
// docs/compatibility.md lists what clients do.
func TestClientsRetryWhatMayBeStoredLater(t *testing.T) {
	for _, w := range writersOf(t) {
		t.Run(w.name, func(t *testing.T) {
			check := func(what string, a answer, code int, text string) {
				t.Helper()
				if a.code != code || (a.header.Get("Retry-After") != "") != (code == 503) {
					t.Errorf("%s: %d %q, Retry-After %q, want %d", what, a.code, a.body, a.header.Get("Retry-After"), code)
				}
				if m := w.message(t, a); !strings.Contains(m, text) {
					t.Errorf("%s: %q in %q, want %q", what, m, a.body, text)
				}
			}
			for name, err := range outages {
				m := doortest.NewMemory()
				m.OnCommit = func() error { return err }
				o := memoryOptions()
				in := newIngest(o, doortest.Backend{Store: m})
				mux := http.NewServeMux()
				in.Register(mux)
				check(name, do(t, mux, "POST", w.path, w.good, w.headers...), 503, err.Error())
			}
			starting := New(memoryOptions())
			mux := http.NewServeMux()
			starting.Register(mux)
			check("no database", do(t, mux, "POST", w.path, w.good, w.headers...), 503, storage.ErrBusy.Error())
			for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
				r := newRequest(w.path, w.good, w.headers...)
				rec := httptest.NewRecorder()
				if !starting.Refuse(rec, r, status, "too many requests") {
					t.Fatal("no door has the path")
				}
				check("rate limit", answer{rec.Code, rec.Header(), rec.Body.String()}, 503, "too many requests")
			}

			d := openDoor(t, func(o *Options, _ *storage.Options) { o.MaxBodyBytes = 4000 })
			check("bad data", d.do("POST", w.path, w.bad, w.headers...), 400, "")
			large := make([]byte, 4001)
			if w.name != "CSV" && w.name != "text" && w.name != "JSON lines" && w.name != "Pushgateway" { // which are read line by line
				check("too large", d.do("POST", w.path, large, w.headers...), 413, "limit.body")
			}
			if a := d.do("POST", w.path, w.good, w.headers...); a.code/100 != 2 {
				t.Errorf("good data: %+v", a)
			}
			fault := doortest.NewMemory()
			fault.OnCommit = func() error { return errors.New("a fault") }
			check("fault", do(t, memoryDoor(t, fault), "POST", w.path, w.good, w.headers...), 500, "a fault")
			if n := d.budget.Used(); n != 0 {
				t.Errorf("%d bytes are still charged", n)
			}
		})
	}
}

// TestRPCClientsRetryWhatMayBeStoredLater is the same over gRPC: UNAVAILABLE with a delay.
func TestRPCClientsRetryWhatMayBeStoredLater(t *testing.T) {
	request := &tsdbv1.WriteRequest{Sequence: 1, Series: []*tsdbv1.SeriesSamples{{Labels: rpcLabels("__name__", "m"), TimesMs: []int64{base}, Values: []float64{1}}}}
	ours, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	export := otlpRequest(t, otlpCounter(base))
	for name, outage := range outages {
		m := doortest.NewMemory()
		m.OnCommit = func() error { return outage }
		conn, _ := dialRPC(t, newIngest(memoryOptions(), doortest.Backend{Store: m}))
		var answer []byte
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, tsdbv1.Write_Write_FullMethodName, grpc.ForceCodec(rawMessage{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(ours); err != nil {
			t.Fatal(err)
		}
		refused := map[string]error{}
		refused["ours"] = stream.RecvMsg(&answer) // first: Memory takes one request at a time
		refused["otlp"] = conn.Invoke(t.Context(), otlpExport, export, &answer, grpc.ForceCodec(rawMessage{}))
		for door, err := range refused {
			s := status.Convert(err)
			retry := false
			for _, x := range s.Details() {
				info, ok := x.(*errdetails.RetryInfo)
				retry = retry || ok && info.RetryDelay.AsDuration() > 0
			}
			if s.Code() != codes.Unavailable || !retry || !strings.Contains(s.Message(), outage.Error()) {
				t.Errorf("%s, %s: %v %v", name, door, err, s.Details())
			}
		}
	}
}
