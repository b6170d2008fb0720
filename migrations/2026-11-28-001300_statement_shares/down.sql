DROP FUNCTION app.statement_shares();
