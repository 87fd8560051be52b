package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tsdb/storage"
)

// influxVersion is the InfluxDB version reported to clients: the last 1.x, whose
// line protocol and responses these doors follow.
const influxVersion = "1.8.10"

// maxErrorHeader is the maximum length of X-Influxdb-Error in bytes.
const maxErrorHeader = 1024

// dialect is the response format of a major version of InfluxDB.
type dialect int

const (
	dialect1 dialect = 1 // {"error":"…"} and X-Influxdb-Error
	dialect2 dialect = 2 // {"code":"…","message":"…"} and X-Platform-Error-Code
)

// influxHeaders sets the headers of every response to an Influx client.
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

// influxError writes an error response in the given dialect.
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

// influxFailed writes the response to a request that failed as a whole.
func (in *Ingest) influxFailed(w http.ResponseWriter, r *http.Request, d dialect, err error) {
	in.influxError(w, r, d, in.statusOf(err), err.Error())
}

// Refuse writes an error response for a request that the server rejects before it
// reaches a door, such as one without credentials. The response has the format of
// the protocol of the path. Refuse returns false if no door has the path.
func (in *Ingest) Refuse(w http.ResponseWriter, r *http.Request, status int, text string) bool {
	unauthorized := status == http.StatusUnauthorized
	switch path := r.URL.Path; {
	case path == "/write", path == "/query", path == "/ping":
		if unauthorized {
			text = "authorization failed" // InfluxDB's text, which clients match
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

// platformCode returns InfluxDB 2's error code for an HTTP status.
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

// headerText replaces control characters and truncates s, for use in a header.
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
	_ = e.Encode(v) // fails only if the client has disconnected
}

// influxRefusals returns the error text for a write, empty if nothing was refused.
// String fields are skipped and counted, which is not an error.
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
		return text // no line could be parsed
	}
	return fmt.Sprintf("partial write: %s dropped=%d", text, dropped)
}
