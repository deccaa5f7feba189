"use strict";

// A file of its own: the Content-Security-Policy allows no inline script.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // it would ask a foreign host
  persistAuthorization: false,
  displayRequestDuration: true,
});
