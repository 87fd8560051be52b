package prom

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/util/annotations"
)

// maxAnnotations bounds the warnings and the infos of a response.
const maxAnnotations = 10

// handler handles one request, whose form is parsed.
type handler func(r *http.Request) (answer, *apiError)

// answer is the result of a handler.
type answer struct {
	data     encodable // nil = 204, no body
	warnings annotations.Annotations
	query    string // the text that positions in warnings refer to; "" = none
	done     func() // frees the memory of data; nil = nothing to free
}

// encodable writes one JSON value.
type encodable func(e *encoder)

// wrap turns a handler into one of net/http: form, answer or error, envelope.
func (a *API) wrap(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		charge, err := a.parseForm(w, r)
		if err != nil {
			writeError(w, err)
			return
		}
		defer charge.Release()
		ans, err := h(r)
		if ans.done != nil {
			defer ans.done()
		}
		switch {
		case err != nil:
			writeError(w, err)
		case ans.data == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			if err := writeAnswer(w, ans); err != nil {
				a.log.Debug("answer not sent", "path", r.URL.Path, "err", err)
			}
		}
	})
}

// writeAnswer sends the envelope {"status":"success","data":…}. The error is
// that of the connection.
func writeAnswer(w http.ResponseWriter, ans answer) error {
	w.Header().Set("Content-Type", "application/json")
	e := newEncoder(w)
	e.raw(`{"status":"success","data":`)
	ans.data(e)
	warnings, infos := ans.warnings.AsStrings(ans.query, maxAnnotations, maxAnnotations)
	e.annotations("warnings", warnings)
	e.annotations("infos", infos)
	e.raw("}")
	return e.finish()
}

// annotations writes a member of the envelope, nothing if texts is empty. The
// texts are sorted, so that equal requests have equal responses. A last text that
// counts omitted ones stays last.
func (e *encoder) annotations(member string, texts []string) {
	if len(texts) == 0 {
		return
	}
	slices.Sort(texts[:min(len(texts), maxAnnotations)])
	e.raw(`,"`)
	e.raw(member)
	e.raw(`":`)
	e.strings(texts)
}

// writeError sends an error in the API's format.
func writeError(w http.ResponseWriter, err *apiError) {
	w.Header().Set("Content-Type", "application/json")
	if err.retryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(err.retryAfterSeconds))
	}
	w.WriteHeader(err.code)
	b := append([]byte(`{"status":"error","errorType":`), strconv.Quote(err.kind)...)
	b = append(b, `,"error":`...)
	b = appendString(b, err.err.Error())
	// An error means that the client has disconnected.
	_, _ = w.Write(append(b, '}'))
}

// jsonValue encodes small answers through their struct tags. v must be
// encodable.
func jsonValue(v any) encodable {
	return func(e *encoder) {
		b, err := json.Marshal(v)
		if err != nil {
			panic("BUG: encode " + err.Error())
		}
		e.b = append(e.b, b...)
	}
}
