package influx

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// maxLineErrors3 is the number of bad lines listed in a response to InfluxDB 3's
// clients. InfluxDB lists them all.
const maxLineErrors3 = 100

// maxOriginalLine is the number of bytes that InfluxDB 3 quotes of a bad line.
const maxOriginalLine = 20

// errNotAccepted is the error of a request with a bad line whose client accepts no
// partial write. Nothing of it is stored.
var errNotAccepted = errors.New("line protocol parsing error")

// lineProblem is a bad line in a response.
type lineProblem struct {
	Message string `json:"error_message"`
	Number  int    `json:"line_number"`
	Line    string `json:"original_line"`
}

// write3 serves the write endpoint of InfluxDB 3, with the parameters db, precision,
// accept_partial and no_sync (ignored: --wal.sync applies to every write).
func (h *Handler) write3(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	p, ok := precisions3[params.Get("precision")]
	if !ok {
		h.fail(w, r, dialect3, http.StatusBadRequest, fmt.Sprintf("unrecognized precision unit: %s", door.Clip(params.Get("precision"), 40)))
		return
	}
	partial := true
	for name, v := range map[string]*bool{"accept_partial": &partial, "no_sync": new(bool)} {
		text := params.Get(name)
		if text == "" {
			continue
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			h.fail(w, r, dialect3, http.StatusBadRequest, fmt.Sprintf("invalid parameter %q: want true or false, got %q", name, door.Clip(text, 40)))
			return
		}
		*v = b
	}
	h.write(w, r, writeOptions{dialect: dialect3, db: params.Get("db"), precision: p, whole: !partial})
}

// answer3 writes the response to a write with bad lines.
func (h *Handler) answer3(w http.ResponseWriter, r *http.Request, d *decoder, rejected []storage.Rejection) {
	body := struct {
		Error string `json:"error"`
		Data  any    `json:"data"`
	}{Error: "partial write of line protocol occurred"}
	problems := make([]lineProblem, 0, len(d.bad.errors))
	for _, e := range d.bad.errors {
		text := e.text
		if text == "" {
			text = timeProblem(rejected)
		}
		problems = append(problems, lineProblem{text, e.number, e.line})
	}
	for _, x := range rejected {
		switch x.Reason {
		case storage.ReasonSeriesLimit, storage.ReasonChurnLimit:
			problems = append(problems, lineProblem{Message: door.Describe(x)})
		}
	}
	body.Data = problems
	if d.whole && len(problems) > 0 {
		body.Error, body.Data = errNotAccepted.Error(), problems[0]
	}
	h.setHeaders(w, r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	writeJSON(w, body)
}

// timeProblem words the refusal of a sample by storage.
func timeProblem(rejected []storage.Rejection) string {
	for _, x := range rejected {
		if x.Reason == storage.ReasonTooOld || x.Reason == storage.ReasonTooNew {
			return door.Describe(x)
		}
	}
	return "the time of the point is outside retention (--retention.raw) or too far ahead (--ingest.max-future)"
}
