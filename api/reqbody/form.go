package reqbody

import (
	"mime"
	"net/http"
)

// formCost is what a byte of a form costs at most once it is parsed, as a
// multiple of it: the text and its parts without their escapes.
const formCost = 3

// ParseForm reads the parameters of r from its URL and its body into r.Form.
// The caller releases the charge when the request is answered; it is nil if
// there is an error. Errors are those of Read, or about the form.
func (b *Budget) ParseForm(w http.ResponseWriter, r *http.Request, limit Limit) (*Charge, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	multipart := kind == "multipart/form-data"
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody || !multipart && kind != "application/x-www-form-urlencoded" {
		return nil, r.ParseForm()
	}
	body, err := b.Read(w, r, limit)
	if err != nil {
		return nil, err
	}
	defer body.Release()
	charge := b.NewCharge()
	if err := charge.Take(r.Context(), int64(body.Len())*formCost); err != nil {
		return nil, err
	}
	r.Body = body
	if multipart {
		err = r.ParseMultipartForm(limit.Bytes) // all of it in memory, never in files
	} else {
		err = r.ParseForm()
	}
	r.Body = http.NoBody
	if err != nil {
		charge.Release()
		return nil, err
	}
	return charge, nil
}
