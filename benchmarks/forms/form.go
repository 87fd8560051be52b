package forms

import (
	"net/http"

	"github.com/klauspost/compress/zstd"

	"tsdb/benchmarks/remote"
)

// Form is a protocol.
type Form struct {
	Name string
	Path string // the same at tsdb and VictoriaMetrics
	Only string // the name of the only server that takes it; "" = all
	TCP  bool   // messages are written to a connection, which answers nothing
	// Ports has the flags that make servers, by name, take the form at an address of its own;
	// the others take it where they take all.
	Ports map[string]func(address string) []string

	header   http.Header
	compress func(dst, src []byte) []byte // nil = none
	encoder  func() encoder
}

// encoder makes messages. It is used by one goroutine.
type encoder interface {
	// row appends a row to a message.
	row(dst []byte, r *Row) []byte
	// end ends the message, in which all that was appended since the last one is.
	end(dst []byte) []byte
}

// All returns the forms.
func All() []Form {
	protobuf := func(encoding, contentType string) http.Header {
		return http.Header{"Content-Type": {contentType}, "Content-Encoding": {encoding}}
	}
	return []Form{
		{Name: "remote1", Path: "/api/v1/write", header: protobuf("snappy", "application/x-protobuf"), compress: remote.Snappy, encoder: newRemote1},
		{Name: "remote2", Path: "/api/v1/write", Only: "tsdb", compress: remote.Snappy, encoder: newRemote2,
			header: protobuf("snappy", "application/x-protobuf;proto=io.prometheus.write.v2.Request")},
		{Name: "otlp", Path: "/opentelemetry/v1/metrics", header: protobuf("zstd", "application/x-protobuf"), compress: zstandard(), encoder: newOTLP},
		{Name: "jsonl", Path: "/api/v1/import", encoder: newJSONLines},
		{Name: "text", Path: "/api/v1/import/prometheus", encoder: newText},
		{Name: "lines", Path: "/write?precision=ms", encoder: newLines},
		{Name: "graphite", TCP: true, encoder: newGraphite, Ports: map[string]func(string) []string{
			"tsdb":            func(a string) []string { return []string{"--graphite.tcp", a} },
			"VictoriaMetrics": func(a string) []string { return []string{"-graphiteListenAddr", a} },
		}},
		{Name: "lines-tcp", TCP: true, encoder: newLines, Ports: map[string]func(string) []string{
			"tsdb":            func(a string) []string { return []string{"--influx.tcp", a, "--influx.listen.precision", "ms"} },
			"VictoriaMetrics": func(a string) []string { return []string{"-influxListenAddr", a} },
		}},
		{Name: "opentsdb", Path: "/api/put", header: http.Header{"Content-Type": {"application/json"}}, encoder: newOpenTSDB, Ports: map[string]func(string) []string{
			"VictoriaMetrics": func(a string) []string { return []string{"-opentsdbHTTPListenAddr", a} },
		}},
		{Name: "datadog1", Path: "/datadog/api/v1/series", header: http.Header{"Content-Type": {"application/json"}}, encoder: newDataDog1},
		{Name: "datadog2", Path: "/datadog/api/v2/series", header: protobuf("zstd", "application/x-protobuf"), compress: zstandard(), encoder: newDataDog2},
		{Name: "otlp-json", Path: "/opentelemetry/v1/metrics", Only: "tsdb", header: http.Header{"Content-Type": {"application/json"}}, encoder: newOTLPJSON},
		{Name: "csv", Path: "/api/v1/import/csv?format=" + csvFormat(), encoder: newCSV},
	}
}

// Named returns the form of a name.
func Named(name string) (Form, bool) {
	for _, f := range All() {
		if f.Name == name {
			return f, true
		}
	}
	return Form{}, false
}

// Sources returns the requests of all senders of the data, each of a number of rows.
func (f Form) Sources(d Data, rows int) []remote.Source {
	var all []remote.Source
	for _, s := range d.Streams {
		all = append(all, &source{stream: s, rows: rows, encoder: f.encoder()})
	}
	return all
}

// Message returns how the requests are sent.
func (f Form) Message() remote.Form { return remote.Form{Header: f.header, Compress: f.compress} }

// source implements remote.Source.
type source struct {
	stream  Stream
	rows    int // in a request
	encoder encoder
}

// AppendRequest implements remote.Source. It gives no errors.
func (s *source) AppendRequest(dst []byte) ([]byte, int, error) {
	samples := 0
	for range s.rows {
		r := s.stream.Next()
		if r == nil {
			break
		}
		dst = s.encoder.row(dst, r)
		samples += len(r.Values)
	}
	return s.encoder.end(dst), samples, nil
}

// zstandard returns a compressor at the level that the OpenTelemetry collector takes by default.
func zstandard() func(dst, src []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(2))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return func(dst, src []byte) []byte { return w.EncodeAll(src, dst[:0]) }
}
