package otlp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/api/ingest/door"
)

// form is the encoding of a request and of its response.
type form byte

const (
	protobufForm form = iota
	jsonForm
)

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"
)

// formOf returns the form that the content type of a request names.
func formOf(r *http.Request) (form, error) {
	text := r.Header.Get("Content-Type")
	media, _, _ := strings.Cut(text, ";")
	switch media = strings.TrimSpace(media); {
	case strings.EqualFold(media, protobufType), strings.EqualFold(media, "application/protobuf"):
		return protobufForm, nil
	case strings.EqualFold(media, jsonType):
		return jsonForm, nil
	}
	return protobufForm, fmt.Errorf("content type %q is not supported, use %s or %s", door.Clip(text, door.MaxExcerptBytes), protobufType, jsonType)
}

func (f form) contentType() string {
	if f == jsonForm {
		return jsonType
	}
	return protobufType
}

// writeResponse writes an ExportMetricsServiceResponse.
func (f form) writeResponse(w http.ResponseWriter, o outcome) {
	w.Header().Set("Content-Type", f.contentType())
	if f == protobufForm {
		_, _ = w.Write(appendResponse(nil, o)) // a client that left does not read an error
		return
	}
	type partial struct {
		RejectedDataPoints string `json:"rejectedDataPoints,omitempty"` // as protobuf's JSON writes 64-bit numbers
		ErrorMessage       string `json:"errorMessage,omitempty"`
	}
	var answer struct {
		PartialSuccess *partial `json:"partialSuccess,omitempty"`
	}
	if o != (outcome{}) {
		answer.PartialSuccess = &partial{ErrorMessage: o.message}
		if o.rejectedPoints > 0 {
			answer.PartialSuccess.RejectedDataPoints = strconv.Itoa(o.rejectedPoints)
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// appendResponse appends an ExportMetricsServiceResponse. One without partial success is
// empty.
func appendResponse(dst []byte, o outcome) []byte {
	if o == (outcome{}) {
		return dst
	}
	var partial []byte
	if o.rejectedPoints > 0 {
		partial = protowire.AppendTag(partial, 1, protowire.VarintType)
		partial = protowire.AppendVarint(partial, uint64(o.rejectedPoints))
	}
	partial = protowire.AppendTag(partial, 2, protowire.BytesType)
	partial = protowire.AppendString(partial, validText(o.message))
	dst = protowire.AppendTag(dst, 1, protowire.BytesType)
	return protowire.AppendBytes(dst, partial)
}

// Fail writes the response to a request that failed as a whole: a google.rpc.Status in
// the form of the request. Clients send it again if the status is 429 or 503.
func Fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	f, _ := formOf(r)
	code := codeOf(status)
	header := w.Header()
	header.Set("Content-Type", f.contentType())
	if (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && header.Get("Retry-After") == "" {
		header.Set("Retry-After", door.RetryAfter)
	}
	w.WriteHeader(status)
	text = validText(text)
	if f == jsonForm {
		_ = json.NewEncoder(w).Encode(struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}{int(code), text})
		return
	}
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(code))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	_, _ = w.Write(protowire.AppendString(b, text))
}

// codeOf returns the code of google.rpc that corresponds to an HTTP status.
func codeOf(status int) codes.Code {
	switch status {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusMethodNotAllowed:
		return codes.Unimplemented
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	case http.StatusInternalServerError:
		return codes.Internal
	}
	return codes.InvalidArgument
}

// validText makes a message valid for protobuf and JSON: texts of refusals may quote the
// request.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
