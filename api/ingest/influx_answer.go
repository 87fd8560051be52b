package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tsdb/storage"
)

// influxVersion is the API level that Influx clients are told: the last 1.x
// whose line protocol and answers these doors follow.
const influxVersion = "1.8.10"

// maxErrorHeader bounds X-Influxdb-Error.
const maxErrorHeader = 1024

// dialect is how a generation of InfluxDB words its answers.
type dialect int

const (
	dialect1 dialect = 1 // {"error":"…"} and X-Influxdb-Error
	dialect2 dialect = 2 // {"code":"…","message":"…"} and X-Platform-Error-Code
)

// influxHeaders sets what every answer to an Influx client carries.
func (in *Ingest) influxHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Influxdb-Version", in.influxVersion())
	h.Set("X-Influxdb-Build", "tsdb")
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 {
		id = fmt.Sprintf("%08x-%016x", uint32(in.seed), in.requests.Add(1))
	}
	h.Set("Request-Id", id)
	h.Set("X-Request-Id", id)
}

func (in *Ingest) influxVersion() string {
	if in.opts.Version == "" {
		return influxVersion
	}
	return influxVersion + "-tsdb." + in.opts.Version
}

// influxError answers with an error in the words of a dialect.
func (in *Ingest) influxError(w http.ResponseWriter, r *http.Request, d dialect, status int, text string) {
	in.influxHeaders(w, r)
	h := w.Header()
	var body any
	if d == dialect2 {
		code := platformCode(status)
		h.Set("Content-Type", "application/json; charset=utf-8")
		h.Set("X-Platform-Error-Code", code)
		body = struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}{code, text}
	} else {
		h.Set("Content-Type", "application/json")
		h.Set("X-Influxdb-Error", headerText(text))
		body = struct {
			Error string `json:"error"`
		}{text}
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	writeJSON(w, body)
}

// influxFailed answers a request that failed as a whole.
func (in *Ingest) influxFailed(w http.ResponseWriter, r *http.Request, d dialect, err error) {
	in.influxError(w, r, d, in.statusOf(err), err.Error())
}

// Refuse answers a request that the server keeps from the doors, such as one
// without credentials, in the form of the protocol of its path, and reports
// whether it knows the path.
func (in *Ingest) Refuse(w http.ResponseWriter, r *http.Request, status int, text string) bool {
	unauthorized := status == http.StatusUnauthorized
	switch path := r.URL.Path; {
	case path == "/write", path == "/query", path == "/ping":
		if unauthorized {
			text = "authorization failed" // InfluxDB's words, which clients look for
		}
		in.influxError(w, r, dialect1, status, text)
	case path == "/health", path == "/ready", strings.HasPrefix(path, "/api/v2/"):
		if unauthorized {
			text = "unauthorized access"
		}
		in.influxError(w, r, dialect2, status, text)
	case path == "/api/v1/write", path == "/api/v1/push":
		http.Error(w, text, status)
	default:
		return false
	}
	return true
}

// platformCode is InfluxDB 2's word for a status.
func platformCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not found"
	case http.StatusMethodNotAllowed:
		return "method not allowed"
	case http.StatusTooManyRequests:
		return "too many requests"
	case http.StatusRequestEntityTooLarge:
		return "request too large"
	case http.StatusServiceUnavailable:
		return "unavailable"
	case http.StatusInternalServerError:
		return "internal error"
	}
	return "invalid"
}

// headerText makes a text fit for a header.
func headerText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return clip(s, maxErrorHeader-len("…"))
}

func writeJSON(w http.ResponseWriter, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client has gone; there is nobody to tell
}

// influxRefusals words what a write could not take, empty if it took all.
// Strings are skipped and counted, which is no error.
func influxRefusals(d *influxDecoder, receipt storage.Receipt) string {
	dropped := d.offered - d.refused - receipt.Floats
	if d.badLines == 0 && dropped == 0 {
		return ""
	}
	texts := append([]string(nil), d.errors...)
	if more := d.badLines - len(d.errors); more > 0 {
		texts = append(texts, "and "+strconv.Itoa(more)+" more bad lines")
	}
	for _, r := range receipt.Rejected {
		if r.Reason == storage.ReasonTooOld {
			texts = append(texts, "points beyond retention policy: "+describe(r))
		}
		if r.Reason == storage.ReasonTooNew {
			texts = append(texts, describe(r))
		}
	}
	text := strings.Join(texts, "\n")
	if receipt.Floats == 0 && dropped == 0 {
		return text // no line could be read
	}
	return fmt.Sprintf("partial write: %s dropped=%d", text, dropped)
}
