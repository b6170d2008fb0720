DROP FUNCTION app.session_reauthenticate(uuid, timestamptz);
DROP TABLE ownership_transfers;
DROP TRIGGER search ON user_emails;
DROP TRIGGER search ON users;
DROP TRIGGER search_update ON members;
DROP TRIGGER search_insert_delete ON members;
DROP FUNCTION app.on_person_address(), app.on_person_name(), app.search_person(uuid), app.on_member_text(),
    app.search_member(uuid, uuid);
DROP TABLE search_terms;
DROP FUNCTION app.search_terms_for(text), app.search_terms_of(text), app.search_words(text);
