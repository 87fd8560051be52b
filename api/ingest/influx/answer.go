package influx

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tsdb/api/ingest/door"
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
	dialect3 dialect = 3 // {"error":"…","data":…}
)

// setHeaders sets the headers of every response to an Influx client.
func (h *Handler) setHeaders(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Influxdb-Version", h.version())
	header.Set("X-Influxdb-Build", "tsdb")
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 {
		id = fmt.Sprintf("%08x-%016x", uint32(h.shared.Seed()), h.requests.Add(1))
	}
	header.Set("Request-Id", id)
	header.Set("X-Request-Id", id)
}

func (h *Handler) version() string {
	if h.opts.Version == "" {
		return influxVersion
	}
	return influxVersion + "-tsdb." + h.opts.Version
}

// fail writes an error response in the given dialect.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, d dialect, status int, text string) {
	h.setHeaders(w, r)
	header := w.Header()
	var body any
	if d == dialect2 {
		code := platformCode(status)
		header.Set("Content-Type", "application/json; charset=utf-8")
		header.Set("X-Platform-Error-Code", code)
		body = struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}{code, text}
	} else {
		header.Set("Content-Type", "application/json")
		if d == dialect1 {
			header.Set("X-Influxdb-Error", headerText(text))
		}
		body = struct {
			Error string `json:"error"`
		}{text}
	}
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", door.RetryAfter)
	}
	w.WriteHeader(status)
	writeJSON(w, body)
}

// failWith writes the response to a request that failed as a whole.
func (h *Handler) failWith(w http.ResponseWriter, r *http.Request, d dialect, err error) {
	h.shared.RefusedRequest(DoorName, err)
	h.fail(w, r, d, h.shared.Status(err), err.Error())
}

// Fail writes an error response for a request that the server rejects before it
// reaches the handler, such as one without credentials, in the format that clients
// of the path expect.
func (h *Handler) Fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	d := dialect1
	if path := r.URL.Path; path == "/health" || path == "/ready" || strings.HasPrefix(path, "/api/v2/") {
		d = dialect2
	} else if strings.HasPrefix(path, "/api/v3/") {
		d = dialect3
	}
	if status == http.StatusUnauthorized {
		if text = "authorization failed"; d != dialect1 { // InfluxDB's texts, which clients match
			text = "unauthorized access"
		}
	}
	h.fail(w, r, d, status, text)
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
	return door.Clip(s, maxErrorHeader-len("…"))
}

func writeJSON(w http.ResponseWriter, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // fails only if the client has disconnected
}

// refusals returns the error text for a write, empty if nothing was refused.
// String fields are skipped and counted, which is not an error.
func refusals(q *door.Request[*decoder], receipt storage.Receipt) string {
	d := q.Decoder
	dropped := q.Batch.Offered.Floats - d.refused - receipt.Floats
	if d.bad.n == 0 && dropped == 0 {
		return ""
	}
	var texts []string
	for _, e := range d.bad.errors {
		texts = append(texts, e.String())
	}
	if more := d.bad.n - len(d.bad.errors); more > 0 {
		texts = append(texts, "and "+strconv.Itoa(more)+" more bad lines")
	}
	for _, r := range receipt.Rejected {
		switch r.Reason {
		case storage.ReasonTooOld:
			texts = append(texts, "points beyond retention policy: "+door.Describe(r))
		case storage.ReasonTooNew, storage.ReasonSeriesLimit, storage.ReasonChurnLimit:
			texts = append(texts, door.Describe(r))
		}
	}
	text := strings.Join(texts, "\n")
	if receipt.Floats == 0 && dropped == 0 {
		return text // no line could be parsed
	}
	return fmt.Sprintf("partial write: %s dropped=%d", text, dropped)
}
