package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"tsdb/internal/objstore"
)

// Error is the error of a request, in words for the user of a command. It says nothing
// of credentials but the names of the variables that hold them.
type Error struct {
	Op    string // what was to be done, such as "write"
	Place string // s3://bucket/key
	What  string // what is wrong
	Err   error  // of the SDK
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s", e.Op, e.Place, e.What) }

func (e *Error) Unwrap() error { return e.Err }

// Is reports the classes of errors that a Store promises.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && code(e.Err) == "NoSuchKey"
}

// code returns the error code of an answer, empty for other errors.
func code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// status returns the status of the answer that is an error, 0 for none.
func status(err error) int {
	var resp *awshttp.ResponseError
	if !errors.As(err, &resp) || resp.Response == nil || resp.Response.Response == nil {
		return 0
	}
	return resp.HTTPStatusCode()
}

// wrap makes the Error of a failed request.
func (s *Store) wrap(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, s.place(key), context.Cause(ctx))
	}
	return &Error{Op: op, Place: s.place(key), What: s.explain(err), Err: err}
}

// explain returns the cause of an error and, if known, a remedy.
func (s *Store) explain(err error) string {
	message := ""
	if api := smithy.APIError(nil); errors.As(err, &api) {
		message = api.ErrorMessage()
	}
	switch c := code(err); c {
	case "NoSuchKey":
		return "there is no such object"
	case "NoSuchBucket":
		return fmt.Sprintf("bucket %s does not exist at %s: create it first", s.bucket, s.endpoint)
	case "NoSuchUpload":
		return "the upload has been aborted meanwhile"
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the second is versitygw's
		return fmt.Sprintf("%s does not know the access key in AWS_ACCESS_KEY_ID", s.endpoint)
	case "SignatureDoesNotMatch":
		return "the secret key in AWS_SECRET_ACCESS_KEY does not belong to the access key in AWS_ACCESS_KEY_ID"
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return "the session token in AWS_SESSION_TOKEN is invalid or has expired"
	case "AccessDenied", "AllAccessDisabled", "Forbidden":
		return "access denied: the credentials do not allow this request" + detail(message)
	case "RequestTimeTooSkewed":
		return "the clock of this computer and that of the service differ too much"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently":
		return "the bucket is in another region: set AWS_REGION or --s3.region" + detail(message)
	case "NotImplemented":
		return "the service does not support this request, which backups need" + detail(message)
	case "":
	default:
		return fmt.Sprintf("the service responds with %d %s%s", status(err), c, detail(message))
	}
	if cutShort(err) {
		return fmt.Sprintf("the response of %s is incomplete or damaged", s.endpoint)
	}
	if n := status(err); n != 0 {
		return fmt.Sprintf("the service responds with %d %s", n, http.StatusText(n))
	}
	return s.explainNetwork(err)
}

// detail appends the message of a service.
func detail(message string) string {
	if message == "" {
		return ""
	}
	return " (" + strings.TrimRight(message, ". ") + ")"
}

// explainNetwork says why there was no answer.
func (s *Store) explainNetwork(err error) string {
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &authority), errors.As(err, &verify):
		return fmt.Sprintf("the certificate of %s cannot be verified: %v", s.endpoint, innermost(err))
	case errors.Is(err, errIdle):
		return fmt.Sprintf("%s does not respond: %v", s.endpoint, errIdle)
	case errors.As(err, &dns):
		return fmt.Sprintf("cannot reach %s: %v", s.endpoint, dns)
	case errors.As(err, &op):
		return fmt.Sprintf("cannot reach %s: %v", s.endpoint, op)
	}
	return fmt.Sprintf("request to %s failed: %v", s.endpoint, innermost(err))
}

// innermost returns the cause of an error.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// refused reports whether the condition of a write was not met. A service that is busy
// with another write of the key says so by 409, one that finds no object by 404.
func refused(err error) bool {
	switch code(err) {
	case "PreconditionFailed", "ConditionalRequestConflict":
		return true
	}
	n := status(err)
	return n == http.StatusPreconditionFailed || n == http.StatusConflict
}

// unanswered reports whether a request has no answer, so that its outcome is unknown. A
// service may also refuse a condition and close the connection before it has read a
// large body.
func unanswered(err error) bool { return err != nil && status(err) == 0 && code(err) == "" }

// cutShort reports whether a response could not be decoded.
func cutShort(err error) bool {
	var decode *smithy.DeserializationError
	return errors.As(err, &decode)
}

var errNewKey = fmt.Errorf("%w: %s is reserved for unfinished objects", objstore.ErrKey, objstore.TempSuffix)
