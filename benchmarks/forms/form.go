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
	Text bool   // lines that a person can read; sent as they are
	Only string // the name of the only server that takes it; "" = all

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
		{Name: "jsonl", Path: "/api/v1/import", Text: true, encoder: newJSONLines},
		{Name: "text", Path: "/api/v1/import/prometheus", Text: true, encoder: newText},
		{Name: "lines", Path: "/write?precision=ms", Text: true, encoder: newLines},
		{Name: "csv", Path: "/api/v1/import/csv?format=" + csvFormat(), Text: true, encoder: newCSV},
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
